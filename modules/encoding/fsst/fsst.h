/*
 * modules/encoding/fsst/fsst.h - a table of up to 255 symbols of 1 to 8 bytes, made for the strings
 * of one column (table.c), and the column that is written with it (fsst.c).
 *
 * P. Boncz, T. Neumann, V. Leis: FSST: Fast Random Access String Compression, VLDB 2020.
 */
#ifndef FSST_H
#define FSST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FSST_SYMBOLS_MAX  255
#define FSST_SYMBOL_BYTES 8
#define FSST_ESCAPE       255 /* the byte that follows stands for itself */

/* Symbols, longest first: the code is the place. Unused bytes of a value are 0. */
struct fsst_table {
    uint32_t count;
    uint8_t bytes[256]; /* of the symbol; 1 for the escape */
    uint64_t values[256];
};

/*
 * Finds the longest symbol at a place. Of symbols with three bytes and more there is one a slot, so
 * that at most one of them can match: first that, then two bytes, then one.
 */
#define FSST_SLOTS 2048

struct fsst_matcher {
    struct fsst_table table;
    struct {
        uint64_t value, mask;
        uint8_t bytes; /* 255: free */
        uint8_t code;
    } slots[FSST_SLOTS];
    uint16_t shorts[65536]; /* by the next two bytes: code | bytes << 8, the escape too */
    uint16_t singles[256];  /* the same where one byte is left */
};

struct fsst_sample; /* pieces of strings to learn from */

/* false: no memory. */
struct fsst_sample *fsst_sample_create(void);
void fsst_sample_destroy(struct fsst_sample *sample);
bool fsst_sample_add(struct fsst_sample *sample, const char *data, size_t bytes); /* false: full */
/* Makes the table for the sample. false: no memory. */
bool fsst_learn(const struct fsst_sample *sample, struct fsst_matcher *out);
/* Bytes of the sample, and those of its codes. */
void fsst_sample_measure(const struct fsst_sample *sample, const struct fsst_matcher *matcher,
                         size_t *out_bytes, size_t *out_codes);

/* Codes of a string, at most 2 * bytes; returns how many bytes they are. */
size_t fsst_compress(const struct fsst_matcher *matcher, const char *data, size_t bytes,
                     uint8_t *out);
/* The same by looking at one symbol after the other, for a constant now and then; SIZE_MAX: they
 * are more than room. */
size_t fsst_compress_few(const struct fsst_table *table, const char *data, size_t bytes,
                         uint8_t *out, size_t room);

#endif
