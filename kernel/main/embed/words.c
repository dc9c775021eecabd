/*
 * main/embed/words.c - inverted indexes: documents and, for each word of each, one row whose key is
 * (word, document), so that the documents of a word are one range of a btree, in order.
 */
#include <roaring/roaring.h>
#include <stdlib.h>
#include <utf8proc.h>

#include "data/data.h"
#include "main/embed/embed.h"

#define SCHEMA         "search"
#define WORD_BYTES_MAX 250
#define TEXT_BYTES_MAX ((size_t)16 << 20)
#define NAME_ROOM      (LUMA_DB_INDEX_NAME_BYTES_MAX + 16)

static const struct lki_embed_def documents_def = {
    .schema = SCHEMA,
    .cols = {{"id", LUMA_TYPE_INT8}, {"text", LUMA_TYPE_TEXT}},
    .cols_count = 2,
    .key = {0},
    .key_count = 1,
    .primary = true,
};

static const struct lki_embed_def words_def = {
    .schema = SCHEMA,
    .cols = {{"word", LUMA_TYPE_TEXT}, {"id", LUMA_TYPE_INT8}},
    .cols_count = 2,
    .key = {0, 1},
    .key_count = 2,
    .primary = true,
};

static luma_rc
no_memory(struct lki_call *call)
{
    return LUMA_FAIL(&call->c.ctx, LUMA_E_NOMEM, "out of memory");
}

/* --- words of a text --- */

struct words {
    struct luma_slice *at; /* in order, each once */
    size_t count, room;
};

static bool
is_of_word(utf8proc_int32_t code)
{
    utf8proc_category_t c = utf8proc_category(code);
    return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO) ||
           (c >= UTF8PROC_CATEGORY_MN && c <= UTF8PROC_CATEGORY_ME) ||
           (c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO);
}

static bool
add_word(struct words *words, struct luma_slice word)
{
    if (word.bytes > WORD_BYTES_MAX) { /* at the end of a character */
        word.bytes = WORD_BYTES_MAX;
        while ((word.data[word.bytes] & 0xc0) == 0x80)
            word.bytes--;
    }
    if (words->count == words->room) {
        size_t room = LK_MAX(words->room * 2, (size_t)64);
        struct luma_slice *at = realloc(words->at, room * sizeof(*at));
        if (at == NULL)
            return false;
        words->at = at;
        words->room = room;
    }
    words->at[words->count++] = word;
    return true;
}

static bool
cut_words(struct words *words, const uint8_t *text, size_t bytes)
{
    size_t from = 0, at = 0;
    while (at < bytes) {
        utf8proc_int32_t code;
        utf8proc_ssize_t n = utf8proc_iterate(text + at, (utf8proc_ssize_t)(bytes - at), &code);
        if (n <= 0)
            break;
        if (!is_of_word(code)) {
            if (at > from && !add_word(words, luma_slice(text + from, at - from)))
                return false;
            from = at + (size_t)n;
        }
        at += (size_t)n;
    }
    return at == from || add_word(words, luma_slice(text + from, at - from));
}

static int
compare_words(const void *a, const void *b)
{
    return luma_slice_compare(*(const struct luma_slice *)a, *(const struct luma_slice *)b);
}

static void
sort_words(struct words *words)
{
    size_t kept = 0;
    if (words->count == 0)
        return;
    qsort(words->at, words->count, sizeof(*words->at), compare_words);
    for (size_t i = 0; i < words->count; i++)
        if (i == 0 || !luma_slice_equal(words->at[i], words->at[kept - 1]))
            words->at[kept++] = words->at[i];
    words->count = kept;
}

/* Adds the words of text; what they point to lies in the call's arena. */
static luma_rc
words_of(struct lki_call *call, struct luma_slice text, struct words *words)
{
    utf8proc_uint8_t *folded = NULL;
    if (text.bytes == 0)
        return LUMA_OK;
    utf8proc_ssize_t n = utf8proc_map(text.data, (utf8proc_ssize_t)text.bytes, &folded,
                                      UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
    if (n == UTF8PROC_ERROR_NOMEM)
        return no_memory(call);
    if (n < 0)
        return LUMA_FAIL_SQL(&call->c.ctx, LUMA_E_DATA, "22021", "the text is not UTF-8");
    uint8_t *copy = luma_arena_copy(call->arena, folded, (size_t)n);
    free(folded);
    return copy != NULL && cut_words(words, copy, (size_t)n) ? LUMA_OK : no_memory(call);
}

/* --- the two tables of an index --- */

struct index {
    char documents_name[NAME_ROOM], words_name[NAME_ROOM];
    struct lki_embed_table documents, words;
};

static luma_rc
index_name(struct lki_call *call, const char *name, struct index *out)
{
    size_t n = name == NULL ? 0 : strlen(name);
    memset(out, 0, sizeof(*out));
    if (n == 0 || n > LUMA_DB_INDEX_NAME_BYTES_MAX || !lki_embed_is_text(name, n))
        return LUMA_FAIL(&call->c.ctx, LUMA_E_INVALID, "this cannot be the name of an index");
    snprintf(out->documents_name, NAME_ROOM, "%s_documents", name);
    snprintf(out->words_name, NAME_ROOM, "%s_words", name);
    return LUMA_OK;
}

static void
index_close(struct index *index)
{
    (void)lki_embed_close(&index->documents, LUMA_OK);
    (void)lki_embed_close(&index->words, LUMA_OK);
}

static luma_rc
index_open(struct lki_call *call, struct index *index)
{
    luma_rc rc = lki_embed_open(call, SCHEMA, index->documents_name, &index->documents);
    if (rc == LUMA_OK)
        rc = lki_embed_open(call, SCHEMA, index->words_name, &index->words);
    if (rc == LUMA_E_UNDEFINED) {
        luma_error_reset(&call->c.error);
        rc = LUMA_FAIL(&call->c.ctx, rc, "there is no inverted index \"%.*s\"",
                       (int)(strlen(index->words_name) - strlen("_words")), index->words_name);
    }
    return rc;
}

/* In a transaction of its own, unless it is there. */
static luma_rc
index_make(struct lki_call *call, struct index *index)
{
    LUMA_TRY(lki_call_txn(call, false));
    luma_rc rc = index_open(call, index);
    bool made = rc == LUMA_E_UNDEFINED;
    if (made) {
        luma_error_reset(&call->c.error);
        index_close(index);
        rc = lki_embed_create(call, &documents_def, index->documents_name, &index->documents);
        if (rc == LUMA_OK)
            rc = lki_embed_create(call, &words_def, index->words_name, &index->words);
    }
    index_close(index);
    if (rc == LUMA_OK && made)
        return lki_call_commit(call);
    lk_txn_host.rollback(LUMA_TAKE(call->txn));
    return rc;
}

/* --- changes --- */

static luma_rc
insert_words(struct lki_call *call, struct index *index, int64_t id, const struct words *words)
{
    const struct luma_insert_opts opts = {.conflict = LUMA_CONFLICT_SKIP};
    for (size_t at = 0; at < words->count;) {
        uint32_t n = (uint32_t)LK_MIN(words->count - at, (size_t)LUMA_BATCH_ROWS);
        struct luma_batch batch;
        LUMA_TRY(lki_embed_batch(call, call->arena, &words_def, n, &batch));
        for (uint32_t i = 0; i < n; i++) {
            struct luma_slice w = words->at[at + i];
            lki_embed_put_text(&batch, 0, i, (const char *)w.data, w.bytes);
            lki_embed_put_int(&batch, 1, i, id);
        }
        LUMA_TRY(lk_store_host.insert(&call->c.ctx, call->txn, index->words.coll, &batch, &opts,
                                      NULL, NULL));
        at += n;
    }
    return LUMA_OK;
}

static luma_rc
remove_row(struct lki_call *call, struct luma_coll *coll, int64_t rowid)
{
    enum luma_lock_result result = LUMA_ROW_GONE;
    LUMA_TRY(lk_store_host.lock(&call->c.ctx, call->txn, coll, &rowid, 1, LUMA_LOCK_UPDATE,
                                LUMA_LOCK_WAIT, &result));
    return result == LUMA_ROW_GONE ? LUMA_OK
                                   : lk_store_host.remove(&call->c.ctx, call->txn, coll, &rowid, 1);
}

static luma_rc
remove_words(struct lki_call *call, struct index *index, int64_t id, const struct words *old,
             const struct words *kept)
{
    for (size_t i = 0; i < old->count; i++) {
        int64_t rowid = -1;
        if (kept->count > 0 &&
            bsearch(&old->at[i], kept->at, kept->count, sizeof(*kept->at), compare_words) != NULL)
            continue;
        const struct luma_value key[] = {lki_embed_value(LUMA_TYPE_TEXT, 0, old->at[i]),
                                         lki_embed_value(LUMA_TYPE_INT8, id, luma_slice(NULL, 0))};
        LUMA_TRY(lk_store_host.get(&call->c.ctx, call->txn, index->words.coll,
                                   index->words.index_id, key, 2, NULL, 0, call->arena, NULL,
                                   &rowid));
        if (rowid >= 0)
            LUMA_TRY(remove_row(call, index->words.coll, rowid));
    }
    return LUMA_OK;
}

/* The text of a document that this transaction has locked. */
static luma_rc
old_text(struct lki_call *call, struct index *index, int64_t rowid, struct luma_slice *out)
{
    static const uint32_t cols[] = {2};
    struct luma_batch batch;
    int32_t found = -1;
    *out = luma_slice(NULL, 0);
    LUMA_TRY(lk_store_host.fetch(&call->c.ctx, call->txn, index->documents.coll, &rowid, 1, cols, 1,
                                 true, call->arena, &batch, &found));
    if (found >= 0)
        *out = lki_embed_text(&batch, 0, (uint32_t)found);
    return LUMA_OK;
}

/* Puts the new text in the place of the old one, and takes out the words that are gone. */
static luma_rc
replace_document(struct lki_call *call, struct index *index, int64_t rowid,
                 const struct luma_db_document *document, const struct words *words)
{
    static const uint32_t cols[] = {2};
    struct words old = {0};
    struct luma_slice text;
    struct luma_batch batch;
    LUMA_TRY(old_text(call, index, rowid, &text));
    luma_rc rc = words_of(call, text, &old);
    sort_words(&old);
    if (rc == LUMA_OK)
        rc = remove_words(call, index, document->id, &old, words);
    free(old.at);
    LUMA_TRY(rc);
    LUMA_TRY(lki_embed_batch(call, call->arena, &documents_def, 1, &batch));
    lki_embed_put_text(&batch, 1, 0, document->text, document->text_bytes);
    batch.cols_count = 1;
    batch.cols = &batch.cols[1];
    return lk_store_host.update(&call->c.ctx, call->txn, index->documents.coll, &rowid, 1, cols,
                                &batch);
}

static luma_rc
put_document(struct lki_call *call, struct index *index, const struct luma_db_document *document,
             const struct words *words)
{
    const struct luma_insert_opts opts = {.conflict = LUMA_CONFLICT_REPORT};
    int64_t rowid = -1, conflict = -1;
    struct luma_batch batch;
    LUMA_TRY(lki_embed_batch(call, call->arena, &documents_def, 1, &batch));
    lki_embed_put_int(&batch, 0, 0, document->id);
    lki_embed_put_text(&batch, 1, 0, document->text, document->text_bytes);
    LUMA_TRY(lk_store_host.insert(&call->c.ctx, call->txn, index->documents.coll, &batch, &opts,
                                  &rowid, &conflict));
    if (conflict >= 0)
        LUMA_TRY(replace_document(call, index, conflict, document, words));
    LUMA_TRY(insert_words(call, index, document->id, words));
    lk_txn_host.command_end(call->txn); /* a later one of the list may be the same document */
    return LUMA_OK;
}

static luma_rc
add_document(struct lki_call *call, struct index *index, const struct luma_db_document *document)
{
    struct words words = {0};
    if (document->text_bytes > TEXT_BYTES_MAX)
        return LUMA_FAIL(&call->c.ctx, LUMA_E_LIMIT, "document %u has more than 16 MiB",
                         (unsigned)document->id);
    if (!lki_embed_is_text(document->text, document->text_bytes))
        return LUMA_FAIL_SQL(&call->c.ctx, LUMA_E_DATA, "22021", "document %u is no text in UTF-8",
                             (unsigned)document->id);
    luma_rc rc = words_of(call, luma_slice(document->text, document->text_bytes), &words);
    sort_words(&words);
    if (rc == LUMA_OK)
        rc = put_document(call, index, document, &words);
    free(words.at);
    return rc;
}

luma_rc
luma_db_add_documents(struct luma_db *db, const char *index_text,
                      const struct luma_db_document *documents, size_t count,
                      struct luma_db_error *error)
{
    struct lki_call call;
    struct index index;
    luma_rc rc = lki_call_begin(&call, db);
    if (rc == LUMA_OK)
        rc = index_name(&call, index_text, &index);
    if (rc == LUMA_OK) {
        pthread_mutex_lock(&db->ddl_lock);
        rc = index_make(&call, &index);
        pthread_mutex_unlock(&db->ddl_lock);
    }
    if (rc == LUMA_OK)
        rc = lki_call_txn(&call, false);
    if (rc == LUMA_OK) {
        rc = index_open(&call, &index);
        for (size_t i = 0; rc == LUMA_OK && i < count; i++)
            rc = add_document(&call, &index, &documents[i]);
        index_close(&index);
    }
    if (rc == LUMA_OK)
        rc = lki_call_commit(&call);
    return lki_call_end(&call, rc, error);
}

static luma_rc
remove_document(struct lki_call *call, struct index *index, uint32_t id)
{
    const struct luma_value key = lki_embed_value(LUMA_TYPE_INT8, id, luma_slice(NULL, 0));
    enum luma_lock_result result = LUMA_ROW_GONE;
    struct words old = {0}, none = {0};
    struct luma_slice text;
    int64_t rowid = -1;
    LUMA_TRY(lk_store_host.get(&call->c.ctx, call->txn, index->documents.coll,
                               index->documents.index_id, &key, 1, NULL, 0, call->arena, NULL,
                               &rowid));
    if (rowid >= 0)
        LUMA_TRY(lk_store_host.lock(&call->c.ctx, call->txn, index->documents.coll, &rowid, 1,
                                    LUMA_LOCK_UPDATE, LUMA_LOCK_WAIT, &result));
    if (result == LUMA_ROW_GONE)
        return LUMA_OK;
    LUMA_TRY(old_text(call, index, rowid, &text));
    luma_rc rc = words_of(call, text, &old);
    sort_words(&old);
    if (rc == LUMA_OK)
        rc = remove_words(call, index, id, &old, &none);
    free(old.at);
    LUMA_TRY(rc);
    LUMA_TRY(lk_store_host.remove(&call->c.ctx, call->txn, index->documents.coll, &rowid, 1));
    lk_txn_host.command_end(call->txn);
    return LUMA_OK;
}

luma_rc
luma_db_remove_documents(struct luma_db *db, const char *index_text, const uint32_t *ids,
                         size_t count, struct luma_db_error *error)
{
    struct lki_call call;
    struct index index;
    luma_rc rc = lki_call_begin(&call, db);
    if (rc == LUMA_OK)
        rc = index_name(&call, index_text, &index);
    if (rc == LUMA_OK)
        rc = lki_call_txn(&call, false);
    if (rc == LUMA_OK) {
        rc = index_open(&call, &index);
        for (size_t i = 0; rc == LUMA_OK && i < count; i++)
            rc = remove_document(&call, &index, ids[i]);
        index_close(&index);
    }
    if (rc == LUMA_OK)
        rc = lki_call_commit(&call);
    return lki_call_end(&call, rc, error);
}

/* --- search --- */

static void
add_ids(roaring_bitmap_t *bitmap, const struct luma_batch *batch)
{
    uint32_t ids[LUMA_BATCH_ROWS];
    for (uint32_t k = 0; k < batch->sel_rows; k++)
        ids[k] = (uint32_t)lki_embed_int(batch, 0, luma_batch_row(batch, k));
    roaring_bitmap_add_many(bitmap, batch->sel_rows, ids);
}

/* The documents of a word. */
static luma_rc
documents_of(struct lki_call *call, struct index *index, struct luma_slice word,
             roaring_bitmap_t **out)
{
    static const uint32_t cols[] = {2};
    const struct luma_value key = lki_embed_value(LUMA_TYPE_TEXT, 0, word);
    const struct luma_key_range range = {.lo = &key, .hi = &key, .lo_count = 1, .hi_count = 1};
    const struct luma_scan_spec spec = {.cols = cols, .cols_count = 1};
    struct luma_cursor *cursor = NULL;
    struct luma_batch *batch = NULL;
    roaring_bitmap_t *bitmap = roaring_bitmap_create();
    if (bitmap == NULL)
        return no_memory(call);
    luma_rc rc = lk_store_host.index_scan(&call->c.ctx, call->txn, index->words.coll,
                                          index->words.index_id, &range, &spec, &cursor);
    while (rc == LUMA_OK &&
           (rc = lk_store_host.cursor_next(&call->c.ctx, cursor, &batch)) == LUMA_OK &&
           batch->rows > 0)
        add_ids(bitmap, batch);
    if (cursor != NULL)
        lk_store_host.cursor_close(cursor);
    if (rc == LUMA_OK)
        *out = bitmap;
    else
        roaring_bitmap_free(bitmap);
    return rc;
}

/* The documents of all words; none when one term has no word. */
static luma_rc
search(struct lki_call *call, struct index *index, const struct words *words, bool empty,
       roaring_bitmap_t **out)
{
    roaring_bitmap_t *all = NULL, *one = NULL;
    luma_rc rc = LUMA_OK;
    for (size_t i = 0; !empty && rc == LUMA_OK && i < words->count; i++) {
        rc = documents_of(call, index, words->at[i], &one);
        if (rc != LUMA_OK)
            break;
        if (all == NULL) {
            all = one;
        } else {
            roaring_bitmap_and_inplace(all, one);
            roaring_bitmap_free(one);
        }
        empty = roaring_bitmap_is_empty(all);
    }
    if (rc == LUMA_OK && all == NULL && (all = roaring_bitmap_create()) == NULL)
        rc = no_memory(call);
    if (rc == LUMA_OK)
        *out = all;
    else if (all != NULL)
        roaring_bitmap_free(all);
    return rc;
}

static luma_rc
words_of_terms(struct lki_call *call, const char *const *terms, size_t count, struct words *words,
               bool *out_empty)
{
    *out_empty = count == 0;
    for (size_t i = 0; i < count; i++) {
        size_t before = words->count;
        if (terms[i] == NULL)
            return LUMA_FAIL(&call->c.ctx, LUMA_E_INVALID, "a term is NULL");
        LUMA_TRY(words_of(call, luma_slice_text(terms[i]), words));
        *out_empty = *out_empty || words->count == before;
    }
    sort_words(words);
    return LUMA_OK;
}

luma_rc
luma_db_search_and(struct luma_db *db, const char *index_text, const char *const *terms,
                   size_t count, struct roaring_bitmap_s **out_bitmap, struct luma_db_error *error)
{
    struct lki_call call;
    struct index index;
    struct words words = {0};
    bool empty = false;
    luma_rc rc = lki_call_begin(&call, db);
    if (rc == LUMA_OK)
        rc = index_name(&call, index_text, &index);
    if (rc == LUMA_OK)
        rc = words_of_terms(&call, terms, count, &words, &empty);
    if (rc == LUMA_OK)
        rc = lki_call_txn(&call, true);
    if (rc == LUMA_OK) {
        rc = index_open(&call, &index);
        if (rc == LUMA_OK)
            rc = search(&call, &index, &words, empty, out_bitmap);
        index_close(&index);
    }
    free(words.at);
    return lki_call_end(&call, rc, error);
}
