/*
 * lumadb/embed.h - LumaDB inside a program: the store of a server without the server.
 *
 * Link with liblumadb (pkg-config lumadb). A store is a data folder; while it is open, no server
 * and no other program can open it. What is written here are tables like any other: a server that
 * is started on the folder later shows them to SQL under the names given below.
 *
 * Durable: a call that changes something returns when the change is in the log on disk (with
 * `async`: in the system's hands, at most its flush interval may be lost). A crash at any moment
 * loses nothing that was answered and keeps nothing half. Each call is one transaction.
 *
 * Threads: every function may be called from any thread at any time, on one store from many at
 * once, unless its comment says otherwise; a segment being filled belongs to one thread at a time.
 * Calls block the thread that makes them. No call may be made from inside a callback. Not to be
 * used in a child after fork().
 *
 * Errors: LUMA_OK or a negative LUMA_E_* of lumadb/errors.def. Out parameters (out_...) change on
 * success only. The last parameter of most calls takes the words: NULL, or a struct luma_db_error
 * of the caller's that is filled on failure. Besides those that a function names, any call may give
 * LUMA_E_NOMEM, LUMA_E_FULL (disk or quota), LUMA_E_IO and LUMA_E_CORRUPT (a file is not as it was
 * written; the words name it).
 *
 * Text is UTF-8 without zero bytes; anything else is LUMA_E_DATA.
 *
 * Since: 0.1
 */
#ifndef LUMADB_EMBED_H
#define LUMADB_EMBED_H

#include <lumadb/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct luma_db;          /* an open store */
struct luma_db_segment;  /* a segment being filled */
struct roaring_bitmap_s; /* CRoaring's roaring_bitmap_t: <roaring/roaring.h> */

#define LUMA_DB_MESSAGE_BYTES 250

/* What went wrong. Belongs to the caller; nothing in it needs to be freed. */
struct luma_db_error {
    luma_rc code;
    char sqlstate[6]; /* PostgreSQL's five characters, and NUL */
    char message[LUMA_DB_MESSAGE_BYTES];
};

/* --- the store --- */

/* All zero but size_bytes is a good choice. Texts are borrowed until luma_db_open returns. */
struct luma_db_opts {
    uint32_t size_bytes;     /* sizeof(struct luma_db_opts) */
    bool async;              /* commits do not wait for the disk */
    bool quiet;              /* no messages at all; otherwise warnings and errors go to stderr */
    uint64_t memory_bytes;   /* of cache, memory tier and work together; 0: 60 % of the machine's */
    const char *module_dir;  /* codecs, encodings, indexes; NULL: where LumaDB was installed */
    const char *conf_dir;    /* one file per module to load; NULL: where LumaDB was installed */
    const char *config_file; /* [storage] and the modules' sections of it count; NULL: none */
};

/*
 * Opens the store in the folder dir, which is made if it is not there, and recovers what an earlier
 * run left in its log. One store can be open in a process at a time.
 *
 * Owns:    gives *out_db; luma_db_close takes it.
 * Errors:  LUMA_E_INVALID  a store is open in this process already
 *          LUMA_E_BUSY     another process has the folder (a server, say)
 *          LUMA_E_CONFIG   an option, a file of configuration, the module folder
 *          LUMA_E_MODULE   stored data needs a module that is not there
 * Threads: one call of open or close at a time.
 */
LUMA_EXPORT LUMA_NODISCARD luma_rc luma_db_open(const char *dir, const struct luma_db_opts *opts,
                                                struct luma_db **out_db,
                                                struct luma_db_error *error);

/*
 * Closes the store: moves what is in memory to files, so that the next open is quick. Whatever it
 * returns, the store is closed, and nothing that was answered is lost.
 *
 * Owns:    takes db; NULL is fine.
 * Threads: no other call on db may run or come after.
 */
LUMA_EXPORT luma_rc luma_db_close(struct luma_db *db, struct luma_db_error *error);

/* Moves everything that is committed and in memory to columnar files; returns when it is done. */
LUMA_EXPORT LUMA_NODISCARD luma_rc luma_db_checkpoint(struct luma_db *db,
                                                      struct luma_db_error *error);

/* "0.1.0" */
LUMA_EXPORT const char *luma_db_version(void);

/*
 * --- multi-tier storage: segments ---
 *
 * A segment is a named set of documents (JSON) over a range of time. Ingested, it lies in the hot
 * tier: the log and memory. Flushed, it lies in the warm tier: compressed columnar files, with
 * common fields in columns of their own. It reads the same from both.
 *
 * In SQL a segment is the table segments."<name>" (time bigint, doc json); the table
 * segments.lumadb_segments lists them.
 */

#define LUMA_DB_NAME_BYTES_MAX 63

enum luma_db_tier { LUMA_DB_HOT = 1, LUMA_DB_WARM = 2 };

struct luma_db_segment_info {
    const char *name;
    int64_t from, to; /* its range of time */
    uint64_t documents;
    enum luma_db_tier tier; /* HOT as long as a document of it lies in memory only */
    uint64_t file_bytes; /* in the warm tier; what several small segments share counts with none */
};

/*
 * A new segment in memory of the caller's; the store knows nothing of it before it is ingested.
 *
 * name:    1 .. LUMA_DB_NAME_BYTES_MAX bytes; not "lumadb_segments".
 * from/to: both included, from <= to. The unit is the caller's: the store compares only.
 * Owns:    gives *out_segment; luma_db_segment_destroy takes it. name is copied.
 * Errors:  LUMA_E_INVALID
 */
LUMA_EXPORT LUMA_NODISCARD luma_rc luma_db_segment_create(const char *name, int64_t from,
                                                          int64_t to,
                                                          struct luma_db_segment **out_segment,
                                                          struct luma_db_error *error);

/*
 * Adds a document, any JSON value, to a segment that is being filled. The text is kept as it is:
 * digits of numbers, order of fields.
 *
 * Owns:    json[0..json_bytes) is copied.
 * Errors:  LUMA_E_RANGE  time lies outside the segment's range
 *          LUMA_E_DATA   this is no JSON (SQLSTATE 22P02)
 */
LUMA_EXPORT LUMA_NODISCARD luma_rc luma_db_segment_add(struct luma_db_segment *segment,
                                                       int64_t time, const char *json,
                                                       size_t json_bytes,
                                                       struct luma_db_error *error);

/* Forgets a segment that was filled, ingested or not; NULL is fine. */
LUMA_EXPORT void luma_db_segment_destroy(struct luma_db_segment *segment);

/*
 * Takes the documents of a segment into the hot tier, all or none. They are durable on return.
 *
 * Owns:    borrows segment: it may be destroyed at once, or ingested into another store.
 * Errors:  LUMA_E_EXISTS  a segment of this name is there
 */
LUMA_EXPORT LUMA_NODISCARD luma_rc luma_db_ingest(struct luma_db *db,
                                                  const struct luma_db_segment *segment,
                                                  struct luma_db_error *error);

/*
 * Moves a segment to the warm tier; returns when its files are complete and named by the manifest.
 * A segment that is warm already stays as it is.
 *
 * Errors:  LUMA_E_UNDEFINED  there is no such segment
 */
LUMA_EXPORT LUMA_NODISCARD luma_rc luma_db_flush_to_warm(struct luma_db *db, const char *name,
                                                         struct luma_db_error *error);

/* One document; what it points to is borrowed until the callback returns. false: no more. */
typedef bool (*luma_db_document_fn)(void *arg, int64_t time, const char *json, size_t json_bytes);

/*
 * Hands the documents of a segment with from <= time <= to over, in the order of time.
 *
 * Errors:  LUMA_E_UNDEFINED  there is no such segment
 */
LUMA_EXPORT LUMA_NODISCARD luma_rc luma_db_segment_read(struct luma_db *db, const char *name,
                                                        int64_t from, int64_t to,
                                                        struct luma_db_error *error,
                                                        luma_db_document_fn fn, void *arg);

/* One segment; info is borrowed until the callback returns. false: no more. */
typedef bool (*luma_db_segment_fn)(void *arg, const struct luma_db_segment_info *info);

/* Hands over all segments whose range meets [from, to], in the order of their names. */
LUMA_EXPORT LUMA_NODISCARD luma_rc luma_db_segment_each(struct luma_db *db, int64_t from,
                                                        int64_t to, struct luma_db_error *error,
                                                        luma_db_segment_fn fn, void *arg);

/*
 * Removes a segment and, in the background, its files.
 *
 * Errors:  LUMA_E_UNDEFINED  there is no such segment
 */
LUMA_EXPORT LUMA_NODISCARD luma_rc luma_db_segment_drop(struct luma_db *db, const char *name,
                                                        struct luma_db_error *error);

/*
 * --- metrics ---
 *
 * A series is a metric's name and a set of labels; the order in which labels are given does not
 * matter. A series has one value at a time: a second sample at the same time takes the place of the
 * first.
 *
 * In SQL: metrics.series (id, key, name, labels jsonb) and metrics.samples (series, time
 * timestamptz, value).
 */

#define LUMA_DB_LABELS_MAX 64

struct luma_db_label {
    const char *name;  /* [A-Za-z_][A-Za-z0-9_]*, once in a series */
    const char *value; /* any text */
};

struct luma_db_sample {
    const char *metric; /* [A-Za-z_:][A-Za-z0-9_:]* */
    const struct luma_db_label *labels;
    uint32_t labels_count; /* 0 .. LUMA_DB_LABELS_MAX */
    int64_t time_us;       /* microseconds since 1970-01-01 UTC */
    double value;          /* NaN and infinities are values */
};

/*
 * Inserts samples, all or none; of two for one series and time the later in the list counts. New
 * series are made. A thousand samples in one call cost little more than one.
 *
 * Owns:    borrows everything.
 * Errors:  LUMA_E_INVALID  a name, a label given twice, too many labels, a time out of range
 */
LUMA_EXPORT LUMA_NODISCARD luma_rc luma_db_insert_samples(struct luma_db *db,
                                                          const struct luma_db_sample *samples,
                                                          size_t count,
                                                          struct luma_db_error *error);

struct luma_db_point {
    int64_t time_us;
    double value;
};

/* Points of a series in the order of time. Long ones come in pieces, one callback each, the pieces
 * of a series one after the other. */
struct luma_db_series {
    const char *metric;
    const struct luma_db_label *labels; /* in the order of their names */
    uint32_t labels_count;
    const struct luma_db_point *points;
    size_t points_count;
};

/* Borrowed until the callback returns. false: no more. */
typedef bool (*luma_db_series_fn)(void *arg, const struct luma_db_series *series);

/*
 * Reads the samples with from_us <= time <= to_us of every series of a metric that has all the
 * given labels (others besides are fine; labels_count 0: every series). One moment: all series as
 * of one snapshot. A metric that nobody has written has no series: LUMA_OK without a callback.
 *
 * Errors:  LUMA_E_INVALID  a name
 */
LUMA_EXPORT LUMA_NODISCARD luma_rc luma_db_read_samples(struct luma_db *db, const char *metric,
                                                        const struct luma_db_label *labels,
                                                        uint32_t labels_count, int64_t from_us,
                                                        int64_t to_us, struct luma_db_error *error,
                                                        luma_db_series_fn fn, void *arg);

/*
 * --- inverted indexes ---
 *
 * An inverted index knows for each word the documents that hold it. Words are runs of letters,
 * marks and digits of Unicode; case does not matter (full case folding, NFC); beyond 250 bytes a
 * word is cut.
 *
 * In SQL: search."<index>_documents" (id, text) and search."<index>_words" (word, id).
 */

#define LUMA_DB_INDEX_NAME_BYTES_MAX 48

struct luma_db_document {
    uint32_t id;
    const char *text;
    size_t text_bytes; /* up to 16 MiB */
};

/*
 * Adds documents to an index, all or none; the first one makes the index. A document whose id is
 * there takes the place of the old one; of two with one id the later in the list counts.
 *
 * index:   1 .. LUMA_DB_INDEX_NAME_BYTES_MAX bytes.
 * Owns:    borrows everything.
 * Errors:  LUMA_E_INVALID  the name
 *          LUMA_E_LIMIT    a text is too long
 */
LUMA_EXPORT LUMA_NODISCARD luma_rc luma_db_add_documents(struct luma_db *db, const char *index,
                                                         const struct luma_db_document *documents,
                                                         size_t count, struct luma_db_error *error);

/*
 * Removes documents from an index, all or none; ids that are not there are passed over.
 *
 * Errors:  LUMA_E_UNDEFINED  there is no such index
 */
LUMA_EXPORT LUMA_NODISCARD luma_rc luma_db_remove_documents(struct luma_db *db, const char *index,
                                                            const uint32_t *ids, size_t count,
                                                            struct luma_db_error *error);

/*
 * The ids of the documents that hold every one of the terms. A term of several words stands for all
 * of them, in any order; one without a word matches nothing, and so do no terms at all.
 *
 * Owns:    gives *out_bitmap, which is the caller's alone; roaring_bitmap_free takes it.
 * Errors:  LUMA_E_UNDEFINED  there is no such index
 */
LUMA_EXPORT LUMA_NODISCARD luma_rc luma_db_search_and(struct luma_db *db, const char *index,
                                                      const char *const *terms, size_t count,
                                                      struct roaring_bitmap_s **out_bitmap,
                                                      struct luma_db_error *error);

#ifdef __cplusplus
}
#endif

#endif
