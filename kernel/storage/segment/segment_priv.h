/*
 * storage/segment/segment_priv.h - how a segment lies on disk and in memory;
 * docs/formats/segment.md has it byte by byte.
 */
#ifndef LK_STORAGE_SEGMENT_PRIV_H
#define LK_STORAGE_SEGMENT_PRIV_H

#include <lumadb/kind/codec.h>
#include <lumadb/kind/encoding.h>

#include <stdatomic.h>

#include "base/base.h"
#include "data/shred.h"
#include "storage/cache/cache.h"
#include "storage/segment/segment.h"

#define LKI_SEGMENT_MAGIC     0x31474553414d554cULL /* "LUMASEG1" */
#define LKI_SEGMENT_MAGIC_END 0x45474553414d554cULL /* "LUMASEGE" */
#define LKI_SEGMENT_VERSION   2                     /* 1 had no leaves: columns without a path */
#define LKI_ENCODING_PLAIN    0x706c6e20u           /* "pln " */
#define LKI_CODEC_NONE        0
#define LKI_ALIGN             64
#define LKI_TAIL_BYTES        32
#define LKI_ZONE_TEXT_BYTES   32  /* longer strings are cut in zone maps */
#define LKI_CONST_TEXT_BYTES  256 /* longer strings are never constants of the footer */
#define LKI_GROUP_BYTES       ((size_t)128 << 20) /* a group ends early above that */
#define LKI_COLS_MAX          4096

/* Columns every segment has behind its own: ids no table can use. */
enum lki_segment_special { LKI_ROWID = 0, LKI_BEGIN = 1, LKI_END = 2, LKI_SPECIALS = 3 };

enum lki_chunk_flags {
    LKI_CHUNK_MIN = 1,      /* min holds a lower bound */
    LKI_CHUNK_MAX = 2,      /* max holds an upper bound */
    LKI_CHUNK_CONST = 4,    /* every value is min; no bytes */
    LKI_CHUNK_NULL = 8,     /* every value is null; no bytes */
    LKI_CHUNK_AFFINE = 16,  /* row i is min + i; no bytes (row ids) */
    LKI_CHUNK_MIN_CUT = 32, /* min is a prefix of the smallest string */
    LKI_CHUNK_MAX_CUT = 64  /* max is above the largest string, not equal */
};

struct lki_segment_header {
    uint64_t magic;
    uint32_t version;
    uint32_t flags;
    uint64_t coll_id;
    uint64_t object_id;
    uint8_t zero[28];
    uint32_t crc; /* of what is before it */
};
LUMA_STATIC_ASSERT(sizeof(struct lki_segment_header) == 64, "as on disk");

struct lki_segment_tail {
    uint64_t footer_offset;
    uint32_t footer_bytes;
    uint32_t footer_crc;
    uint32_t version;
    uint32_t crc; /* of the 20 bytes before it */
    uint64_t magic;
};
LUMA_STATIC_ASSERT(sizeof(struct lki_segment_tail) == LKI_TAIL_BYTES, "as on disk");

struct lki_segment_footer {
    uint64_t coll_id, rows;
    int64_t rowid_min, rowid_max;
    uint64_t commit_min, commit_max;
    uint32_t level, groups, cols, heap_bytes;
};
LUMA_STATIC_ASSERT(sizeof(struct lki_segment_footer) == 64, "as on disk");

struct lki_segment_col {
    uint32_t id;
    uint8_t type_id, type_elem;
    int16_t type_scale;
    int32_t type_mod;
    uint8_t phys;
    uint8_t role; /* enum lki_role */
    uint8_t zero[2];
    uint64_t nulls;
    uint64_t text_bytes;
    uint32_t sketch_at; /* in the heap */
    uint32_t sketch_bytes;
    uint32_t path_at; /* LEAF: in the heap; version 1 ends before it */
    uint32_t path_bytes;
};
LUMA_STATIC_ASSERT(sizeof(struct lki_segment_col) == 48, "as on disk");
#define LKI_COL_BYTES_V1 40

enum lki_role {
    LKI_PLAIN = 0,
    LKI_SHREDDED = 1, /* documents with holes: the leaves have the rest */
    LKI_LEAF = 2      /* a field of the shredded column with the same id; leaves follow each other
                         in the order of their numbers in holes */
};

enum lki_chunk_marks {
    LKI_MARK_EXACT = 1,   /* LEAF: no row has anything else at the path, JSON's null aside */
    LKI_MARK_NO_NULLS = 2 /* LEAF: nor JSON's null */
};

/* A bound: the value itself, or where a string lies in the heap. */
union lki_bound {
    bool b;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    uint64_t u64;
    float f32;
    double f64;
    uint64_t word[2];
    uint8_t bytes[16];
    struct {
        uint32_t at, bytes_count;
    } heap;
};

struct lki_chunk {
    uint64_t offset;
    uint32_t stored_bytes; /* as in the file */
    uint32_t raw_bytes;    /* under the codec */
    uint32_t values_at;    /* where the encoded values begin in raw; validity lies before, if any */
    uint32_t crc;          /* CRC32C of the stored bytes */
    uint32_t encoding, codec;
    uint32_t room_bytes; /* that the encoding's open wants */
    uint32_t nulls;
    uint32_t distinct; /* estimate */
    uint8_t flags, phys;
    uint16_t marks; /* enum lki_chunk_marks */
    union lki_bound min, max;
};
LUMA_STATIC_ASSERT(sizeof(struct lki_chunk) == 80, "as on disk");

/* --- codecs and encodings (formats.c, plain.c, fallback.c) --- */

#define LKI_FORMATS_MAX 32

static inline bool
lki_has_flag(const struct luma_encoding *encoding, uint32_t flag)
{
    return LUMA_HAS(encoding, flags) && (encoding->flags & flag) != 0;
}

/* Strings it gives are in the caller's arena, not in the bytes of the chunk. */
static inline bool
lki_makes_strings(const struct luma_encoding *encoding)
{
    return LUMA_HAS(encoding, get_into) && encoding->get_into != NULL;
}

struct lki_codec {
    const struct luma_codec *codec;
    const void *conf;
    const char *name;
    void *idle[16]; /* worker states nobody uses, under the lock */
    uint32_t idle_count;
};

struct lk_formats {
    const struct luma_simd *simd;
    const struct luma_encoding *encodings[LKI_FORMATS_MAX]; /* plain first */
    const char *encoding_names[LKI_FORMATS_MAX];
    uint32_t encodings_count;
    struct lki_codec *codecs[LKI_FORMATS_MAX];
    uint32_t codecs_count;
    struct lki_codec *preferred; /* NULL: none */
    struct lki_codec *dense;     /* tried beside it; NULL: the configuration names one codec */
    struct lk_mutex lock;
    char names[LKI_FORMATS_MAX * 2][32];
    uint32_t names_count;
};

extern const struct luma_encoding lki_segment_plain;
extern const struct luma_simd *const lki_segment_simd_fallback;

/* NULL: absent. */
const struct luma_encoding *lki_formats_encoding(const struct lk_formats *formats,
                                                 uint32_t wire_id);
/* NULL codec or a wire id that is absent: LUMA_E_MODULE by name. */
luma_rc lki_formats_compress(struct luma_ctx *ctx, const struct lk_formats *formats,
                             struct lki_codec *codec, struct luma_slice src, struct luma_buf *dst);
luma_rc lki_formats_expand(struct luma_ctx *ctx, const struct lk_formats *formats, uint32_t wire_id,
                           struct luma_slice src, struct luma_buf *dst);
/* "zstd" for 0x7a737464, in out. */
void lki_wire_name(uint32_t wire_id, char out[5]);

/* --- statistics of a chunk (stats.c) --- */

#define LKI_SKETCH_REGISTERS LK_SEGMENT_SKETCH_BYTES

struct lki_stats {
    struct luma_enc_stats enc;
    bool has_min, has_max;
    struct luma_value min, max; /* strings borrow the column's bytes */
    bool all_equal;             /* of the not null */
    uint8_t sketch[LKI_SKETCH_REGISTERS];
};

/* How values of a column are ordered. */
enum lki_order {
    LKI_ORDER_INT,   /* as signed integers */
    LKI_ORDER_FLOAT, /* NaN above all */
    LKI_ORDER_BYTES, /* strings bytewise, uuids */
    LKI_ORDER_OTHER  /* lk_data_value_compare knows */
};
enum lki_order lki_order_of(struct luma_type type, uint8_t phys);

/* vec is flat; valid NULL: no nulls. Values at nulls count in enc (they are encoded), not in
 * min, max and the sketch. */
void lki_stats_measure(const struct luma_vec *vec, uint32_t rows, struct lki_stats *out);

/* --- writing a chunk (chunk.c) --- */

struct lki_chunk_out {
    struct lki_chunk chunk;             /* offset, and heap places of strings, are the writer's */
    struct luma_str text_min, text_max; /* strings of the bounds, in text[] */
    char text[LKI_CONST_TEXT_BYTES + LKI_ZONE_TEXT_BYTES];
    uint8_t *data; /* what is to be stored: raw or packed; NULL: nothing */
    uint8_t *raw, *packed;
    size_t raw_room, packed_room;
    uint64_t text_bytes;
    uint8_t sketch[LKI_SKETCH_REGISTERS];
    /* What a comparison with the dense encodings came to holds for some groups of the column. */
    const struct luma_encoding *dense; /* the better one; NULL: none is */
    uint32_t dense_groups;             /* that it holds for still */
    uint32_t verbatim_permille;        /* of the strings' bytes: what was stored without it */
};

/* Encodes rows of vec (flat; nulls hold any value and are overwritten). */
luma_rc lki_chunk_make(struct luma_ctx *ctx, const struct lk_formats *formats,
                       struct luma_budget *budget, struct luma_vec *vec, uint32_t rows,
                       struct lki_chunk_out *out);
void lki_chunk_out_fini(struct luma_budget *budget, struct lki_chunk_out *out);

/* --- a group under way (writer.c, shred.c) --- */

/* One column of the group that fills. */
struct lki_write_col {
    struct luma_type type;
    uint32_t id;
    uint8_t phys, role;
    uint16_t marks;
    uint32_t size;
    uint32_t room;
    uint8_t *data;   /* room values */
    uint64_t *valid; /* LK_GROUP_ROWS bits */
    bool has_nulls;
    size_t text_bytes; /* of this group */
    uint64_t nulls_all, text_bytes_all;
    struct luma_slice path; /* LEAF; the shape's memory */
    uint8_t sketch[LKI_SKETCH_REGISTERS];
    struct lki_chunk_out out;
};

/* A jsonb or json column on its way apart. */
struct lki_shredder {
    struct lk_shape *shape; /* NULL: not shredded */
    struct lki_write_col *leaves;
    uint32_t leaves_count;
};

void lki_write_col_fini(struct luma_budget *budget, struct lki_write_col *column);
/* Looks at documents of the first group and makes the leaves. */
luma_rc lki_shredder_learn(struct luma_ctx *ctx, struct luma_budget *budget,
                           struct lki_write_col *column, struct luma_arena *texts, uint32_t rows,
                           struct lki_shredder *out);
/* Puts documents with holes (in texts) in place of the column's, and fills the leaves. */
luma_rc lki_shredder_split(struct luma_ctx *ctx, struct luma_budget *budget,
                           struct luma_arena *texts, struct lki_write_col *column, uint32_t rows,
                           struct lki_shredder *shredder);
void lki_shredder_fini(struct luma_budget *budget, struct lki_shredder *shredder);

/* --- reading (reader.c, load.c) --- */

struct lk_segment {
    _Atomic uint32_t refs;
    _Atomic bool trial; /* its chunks come into the cache as used once */
    struct lk_segment_info info;
    struct luma_object_reader *reader;
    const struct lk_formats *formats;
    uint8_t *footer; /* everything below points into it */
    size_t footer_bytes;
    uint32_t groups, cols, cols_all; /* cols_all: with the specials */
    struct lki_segment_col *col;     /* cols_all; its own memory */
    const uint32_t *group_rows;
    const struct lki_chunk *chunks; /* groups x cols_all */
    struct lk_cache_hint *hints;    /* groups x cols_all: of their blocks */
    const uint8_t *heap;
    uint32_t heap_bytes;
    uint32_t *group_first; /* first row of each group, and rows at the end */
    bool contiguous;       /* row i of the segment has row id rowid_min + i */
};

/* What lies in the parsed part of a cached chunk. */
struct lki_loaded {
    struct luma_enc_view view;
    const struct luma_encoding *encoding;
    const uint64_t *valid; /* NULL: no nulls */
};

static inline const struct lki_chunk *
lki_segment_chunk(const struct lk_segment *segment, uint32_t group, uint32_t col)
{
    return &segment->chunks[(size_t)group * segment->cols_all + col];
}

static inline bool
lki_chunk_has_bytes(const struct lki_chunk *chunk)
{
    return (chunk->flags & (LKI_CHUNK_CONST | LKI_CHUNK_NULL | LKI_CHUNK_AFFINE)) == 0;
}

/* Leaves of the shredded column at `at`: *out_first and how many. */
uint32_t lki_segment_leaves(const struct lk_segment *segment, uint32_t at, uint32_t *out_first);
static inline struct luma_slice
lki_leaf_path(const struct lk_segment *segment, uint32_t leaf)
{
    return luma_slice(segment->heap + segment->col[leaf].path_at, segment->col[leaf].path_bytes);
}
/* Position of a column id, or -1. */
int32_t lki_segment_col(const struct lk_segment *segment, uint32_t col_id);
/* Pins a chunk that has bytes, opened for reading. */
luma_rc lki_segment_load(struct luma_ctx *ctx, struct lk_segment *segment, uint32_t group,
                         uint32_t col, struct lk_cache_block **out_block);
static inline size_t
lki_chunk_parsed_bytes(const struct lki_chunk *chunk)
{
    return lk_align_up(sizeof(struct lki_loaded), LKI_ALIGN) + chunk->room_bytes;
}
static inline const struct lki_loaded *
lki_loaded(const struct lk_cache_block *block)
{
    return block->parsed;
}
/* Bounds as values; false: the chunk has none. Strings point into the footer. */
bool lki_chunk_min(const struct lk_segment *segment, const struct lki_chunk *chunk,
                   struct luma_type type, struct luma_value *out);
bool lki_chunk_max(const struct lk_segment *segment, const struct lki_chunk *chunk,
                   struct luma_type type, struct luma_value *out);
/* Greatest |value| of an integer chunk as a bound for vectors; 0: not known. */
uint64_t lki_chunk_bound(const struct lki_chunk *chunk);
/* Group that holds a segment row. */
uint32_t lki_segment_group_of(const struct lk_segment *segment, uint32_t row);
struct luma_type lki_segment_col_type(const struct lki_segment_col *col);
/* A sound value of that column, of a document column what is left of documents: for bytes from the
 * file, before anything trusts them. */
bool lki_segment_value_valid(const struct lk_segment *segment, uint32_t at,
                             const struct luma_value *value);

/* --- predicates (pred.c) --- */

enum lki_verdict { LKI_NEVER, LKI_SOME, LKI_ALWAYS };

/* What a zone map says of a predicate. */
enum lki_verdict lki_pred_judge(const struct lk_segment *segment, const struct lki_chunk *chunk,
                                struct luma_type type, const struct luma_pred *pred);
/* Order of two values that are not null, of one column. */
int lki_value_compare(const struct luma_value *a, const struct luma_value *b);
/* Does a comparison that came out as c (as strcmp) satisfy op? */
bool lki_pred_holds(enum luma_pred_op op, int c);
/* Does one value satisfy it? */
bool lki_pred_test(const struct luma_pred *pred, const struct luma_value *value);

/* A predicate at work on a chunk. */
struct lki_pred {
    const struct luma_pred *pred;
    enum lki_order order;
    enum lki_verdict verdict;
    const struct luma_vec *dict; /* whose values are judged in dict_ok */
    uint64_t *dict_ok;
    size_t dict_words;
};
/* Clears bits of rows of the window that do not satisfy it, on encoded values. false: it cannot. */
bool lki_pred_encoded(struct lki_pred *p, const struct lki_loaded *loaded, uint32_t first,
                      uint32_t n, uint64_t *tmp, uint64_t *bits);
/* The same on decoded ones (any form). */
luma_rc lki_pred_decoded(struct luma_ctx *ctx, const struct luma_simd *simd, struct lki_pred *p,
                         const struct luma_vec *vec, uint32_t n, uint64_t *tmp, uint64_t *bits);
void lki_pred_fini(struct lki_pred *p);

#endif
