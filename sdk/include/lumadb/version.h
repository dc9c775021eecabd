/*
 * lumadb/version.h - the versions of the module ABI, and what changed when.
 *
 * Change list (newest last; sdk/abi/layout.c changes together with it):
 *   0.1  first published layout
 */
#ifndef LUMADB_VERSION_H
#define LUMADB_VERSION_H

/* Until 1.0 the major is 0 and a module must match major and minor exactly. */
#define LUMA_ABI_MAJOR 0
#define LUMA_ABI_MINOR 1

#define LUMA_VERSION "0.1.0"

#endif
