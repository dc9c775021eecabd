/*
 * tests/bench/micro/strings.c - what the encodings and codecs of strings make of the lines of a
 * file, a chunk of 65,536 at a time: bytes, and nanoseconds a string for writing, for opening (what
 * a codec expands included), for reading all, and for an equality.
 *
 *     LUMA_BUILD_DIR=. tests/bench/micro/strings FILE [chunks]
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../unit/storage/segment/modules.h"
#include "base/base.h"
#include "io/io.h"
#include "storage/segment/segment_priv.h"

#define ROWS LK_GROUP_ROWS

static struct lk_ctx c;
static struct luma_arena *arena, *texts;
static struct lk_formats *formats;

static double
now(void)
{
    return (double)lk_io_now_ns(lk_io_posix());
}

static void
must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s: %s\n", what, c.error.message);
    exit(1);
}

/* One way of keeping a chunk. */
struct way {
    const char *encoding, *codec;
    size_t bytes;
    double write, open, read, equal;
};

static struct way ways[] = {{"text", NULL, 0, 0, 0, 0, 0},   {"text", "lz4", 0, 0, 0, 0, 0},
                            {"text", "zstd", 0, 0, 0, 0, 0}, {"fsst", NULL, 0, 0, 0, 0, 0},
                            {"fsst", "lz4", 0, 0, 0, 0, 0},  {"fsst", "zstd", 0, 0, 0, 0, 0}};

static struct lki_codec *
codec_of(const char *name)
{
    for (uint32_t i = 0; name != NULL && i < formats->codecs_count; i++)
        if (strcmp(formats->codecs[i]->name, name) == 0)
            return formats->codecs[i];
    return NULL;
}

static uint8_t *
bytes_alloc(size_t bytes)
{
    uint8_t *p = aligned_alloc(64, (bytes + 127) & ~(size_t)63);
    must(p != NULL, "memory");
    return p;
}

static void
read_back(struct way *way, const struct luma_encoding *enc, struct luma_slice bytes,
          const struct luma_vec *vec, uint32_t rows)
{
    static uint64_t strings[LUMA_BATCH_ROWS * 2], bits[LUMA_BATCH_ROWS / 64];
    struct luma_enc_view view = {.bytes = bytes, .rows = rows, .phys = vec->phys};
    struct luma_value value = {.phys = LUMA_PHYS_STR};
    uint8_t *room = bytes_alloc(enc->room_bytes == NULL ? 0 : enc->room_bytes(&view));
    double start = now();
    view.simd = lk_formats_simd(formats);
    view.room = room;
    must(enc->open(&c.ctx, &view) == LUMA_OK, "open");
    way->open += now() - start;
    start = now();
    for (uint32_t first = 0; first < rows; first += LUMA_BATCH_ROWS) {
        struct luma_vec out = {.phys = vec->phys, .data = strings};
        arena->reset(arena);
        must(enc->decode(&view, first, LK_MIN(rows - first, (uint32_t)LUMA_BATCH_ROWS), arena,
                         &out) == LUMA_OK,
             "decode");
    }
    way->read += now() - start;
    value.str = ((const struct luma_str *)vec->data)[rows / 2];
    start = now();
    for (uint32_t first = 0; first < rows; first += LUMA_BATCH_ROWS)
        must(enc->filter(&view, first, LK_MIN(rows - first, (uint32_t)LUMA_BATCH_ROWS), LUMA_CMP_EQ,
                         &value, bits),
             "filter");
    way->equal += now() - start;
    free(room);
}

static void
try_way(struct way *way, const struct luma_vec *vec, uint32_t rows,
        const struct luma_enc_stats *stats)
{
    char service[32];
    snprintf(service, sizeof(service), "encoding.%s", way->encoding);
    const struct luma_encoding *enc =
        (const struct luma_encoding *)test_lookup(service, LUMA_ENCODING_MAJOR);
    struct lki_codec *codec = codec_of(way->codec);
    size_t bound = enc->bound(vec, rows, stats);
    uint8_t *raw = bytes_alloc(bound), *packed = NULL;
    struct luma_buf dst = {raw, bound, 0};
    double start = now();
    must(enc->encode(&c.ctx, vec, rows, stats, lk_formats_simd(formats), &dst) == LUMA_OK,
         "encode");
    size_t bytes = dst.used_bytes, kept = bytes;
    if (codec != NULL) {
        packed = bytes_alloc(codec->codec->bound(bytes));
        struct luma_buf to = {packed, codec->codec->bound(bytes), 0};
        must(lki_formats_compress(&c.ctx, formats, codec, luma_slice(raw, bytes), &to) == LUMA_OK,
             "compress");
        kept = to.used_bytes;
    }
    way->write += now() - start;
    way->bytes += kept;
    if (codec != NULL) {
        struct luma_buf to = {raw, bytes, 0};
        start = now();
        must(lki_formats_expand(&c.ctx, formats, codec->codec->wire_id, luma_slice(packed, kept),
                                &to) == LUMA_OK,
             "expand");
        way->open += now() - start;
    }
    memset(raw + bytes, 0, 16);
    read_back(way, enc, luma_slice(raw, bytes), vec, rows);
    free(raw);
    free(packed);
}

static uint32_t
read_lines(FILE *file, struct luma_vec *vec, struct luma_enc_stats *stats)
{
    static char line[1 << 20];
    uint32_t rows = 0;
    texts->reset(texts);
    *stats = (struct luma_enc_stats){0};
    while (rows < ROWS && fgets(line, sizeof(line), file) != NULL) {
        size_t n = strcspn(line, "\n");
        ((struct luma_str *)vec->data)[rows++] =
            luma_str_make(luma_arena_copy(texts, line, n), (uint32_t)n);
        stats->text_bytes += n;
    }
    stats->rows = stats->runs = stats->distinct = rows;
    return rows;
}

int
main(int argc, char **argv)
{
    static const char *const names[] = {"codec-lz4", "codec-zstd", "encoding-text",
                                        "encoding-fsst"};
    struct luma_vec vec;
    struct luma_enc_stats stats;
    uint64_t all = 0, text = 0;
    int chunks = argc > 2 ? atoi(argv[2]) : 8;
    FILE *file = argc < 2 ? NULL : fopen(argv[1], "r");
    if (file == NULL) {
        fprintf(stderr, "usage: strings FILE [chunks]\n");
        return 2;
    }
    for (size_t i = 0; i < LUMA_COUNTOF(names); i++)
        must(test_module_load(names[i]), names[i]);
    arena = lk_arena_create(NULL, (size_t)1 << 20);
    texts = lk_arena_create(NULL, (size_t)1 << 20);
    lk_ctx_init(&c, arena);
    must(lk_formats_load(&c.ctx, &test_host_services, NULL, &formats) == LUMA_OK, "formats");
    must(luma_vec_init(&vec, lk_arena_create(NULL, 0), luma_type(LUMA_TYPE_TEXT), ROWS), "memory");
    for (int i = 0; i < chunks; i++) {
        uint32_t rows = read_lines(file, &vec, &stats);
        if (rows == 0)
            break;
        all += rows;
        text += stats.text_bytes;
        for (size_t w = 0; w < LUMA_COUNTOF(ways); w++)
            try_way(&ways[w], &vec, rows, &stats);
    }
    fclose(file);
    printf("%llu strings, %.1f bytes each\n", (unsigned long long)all, (double)text / (double)all);
    printf("%-10s %8s %8s %8s %8s %8s\n", "", "bytes", "write", "open", "read", "equal");
    for (size_t w = 0; w < LUMA_COUNTOF(ways); w++)
        printf("%s %-5s %8.2f %8.1f %8.1f %8.1f %8.1f\n", ways[w].encoding,
               ways[w].codec == NULL ? "" : ways[w].codec, (double)ways[w].bytes / (double)all,
               ways[w].write / (double)all, ways[w].open / (double)all, ways[w].read / (double)all,
               ways[w].equal / (double)all);
    lk_formats_free(formats);
    return 0;
}
