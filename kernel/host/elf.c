/*
 * host/elf.c - is this a whole shared object? dlopen maps what the headers promise and a file that
 * is shorter ends in SIGBUS, so the promises are compared with the size first.
 */
#include <elf.h>
#include <stdio.h>

#include "host/host_priv.h"

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#endif

struct elf_file {
    struct lk_file *file;
    uint64_t bytes;
    Elf64_Ehdr head;
};

static const char *
check_head(const struct elf_file *e)
{
    if (memcmp(e->head.e_ident, ELFMAG, SELFMAG) != 0)
        return "not a shared object (no ELF header)";
    if (e->head.e_ident[EI_CLASS] != ELFCLASS64 || e->head.e_ident[EI_DATA] != ELFDATA2LSB)
        return "not for this machine (wants 64 bits, little-endian)";
    if (e->head.e_machine != OUR_MACHINE)
        return "not for this machine (another processor)";
    if (e->head.e_type != ET_DYN)
        return "not a shared object";
    if (e->head.e_phentsize != sizeof(Elf64_Phdr) || e->head.e_phnum == 0)
        return "damaged: no program headers";
    return NULL;
}

static bool
inside(const struct elf_file *e, uint64_t offset, uint64_t bytes)
{
    return offset <= e->bytes && bytes <= e->bytes - offset;
}

/* A table of headers, in one read; given, freed with lk_free. */
static void *
read_table(const struct elf_file *e, uint64_t offset, size_t bytes)
{
    void *table = lk_alloc(NULL, bytes);
    if (table != NULL && lk_io_read_exact(NULL, e->file, table, bytes, offset) != LUMA_OK) {
        lk_free(NULL, table, bytes);
        return NULL;
    }
    return table;
}

static const char *
check_segments(const struct elf_file *e)
{
    bool dynamic = false;
    const char *why = NULL;
    size_t bytes = e->head.e_phnum * sizeof(Elf64_Phdr);
    if (!inside(e, e->head.e_phoff, bytes))
        return "truncated: its program headers lie behind its end";
    Elf64_Phdr *table = read_table(e, e->head.e_phoff, bytes);
    if (table == NULL)
        return "cannot be read";
    for (uint16_t i = 0; i < e->head.e_phnum; i++) {
        const Elf64_Phdr *ph = &table[i];
        if (ph->p_type == PT_LOAD &&
            (!inside(e, ph->p_offset, ph->p_filesz) || ph->p_memsz < ph->p_filesz))
            why = "truncated: a segment lies behind its end";
        dynamic = dynamic || ph->p_type == PT_DYNAMIC;
    }
    lk_free(NULL, table, bytes);
    return why != NULL ? why : dynamic ? NULL : "not a shared object (nothing dynamic)";
}

/* A file cut behind its segments still has section headers that point nowhere. */
static const char *
check_sections(const struct elf_file *e)
{
    const char *why = NULL;
    size_t bytes = e->head.e_shnum * sizeof(Elf64_Shdr);
    if (e->head.e_shoff == 0 || e->head.e_shnum == 0)
        return NULL; /* stripped */
    if (e->head.e_shentsize != sizeof(Elf64_Shdr) || !inside(e, e->head.e_shoff, bytes))
        return "truncated: its section headers lie behind its end";
    Elf64_Shdr *table = read_table(e, e->head.e_shoff, bytes);
    if (table == NULL)
        return "cannot be read";
    for (uint16_t i = 0; i < e->head.e_shnum; i++) {
        const Elf64_Shdr *sh = &table[i];
        if (sh->sh_type != SHT_NOBITS && sh->sh_type != SHT_NULL &&
            !inside(e, sh->sh_offset, sh->sh_size))
            why = "truncated: a section lies behind its end";
    }
    lk_free(NULL, table, bytes);
    return why;
}

bool
lki_elf_check(struct lk_io *io, const char *file, char *out_why, size_t why_bytes)
{
    struct lk_ctx c;
    struct elf_file e = {0};
    const char *why = NULL;
    lk_ctx_init(&c, NULL);
    luma_rc rc = lk_io_open(&c.ctx, io, file, 0, &e.file);
    if (rc == LUMA_OK)
        rc = lk_io_size(&c.ctx, e.file, &e.bytes);
    if (rc == LUMA_OK && e.bytes < sizeof(e.head))
        why = "not a shared object (too short)";
    else if (rc == LUMA_OK)
        rc = lk_io_read_exact(&c.ctx, e.file, &e.head, sizeof(e.head), 0);
    if (rc == LUMA_OK && why == NULL)
        why = check_head(&e);
    if (rc == LUMA_OK && why == NULL)
        why = check_segments(&e);
    if (rc == LUMA_OK && why == NULL)
        why = check_sections(&e);
    lk_io_close(e.file);
    snprintf(out_why, why_bytes, "%s", rc != LUMA_OK ? c.error.message : why == NULL ? "" : why);
    return rc == LUMA_OK && why == NULL;
}
