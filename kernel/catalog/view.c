/*
 * catalog/view.c - states of the catalogue: lookup by id (binary search) and by name (hash table).
 */
#include <stdlib.h>

#include "catalog/catalog_priv.h"

#define VIEW_NAMES_MIN 64

/* Names that must differ from each other have the same class: relations of a schema share one,
 * as in PostgreSQL. Functions are overloaded: 0, not in the table. */
static uint32_t
name_class(enum luma_cat_kind kind)
{
    switch (kind) {
    case LUMA_CAT_TABLE:
    case LUMA_CAT_VIEW:
    case LUMA_CAT_INDEX:
    case LUMA_CAT_SEQUENCE:
        return 1;
    case LUMA_CAT_FUNCTION:
        return 0;
    default:
        return 16 + (uint32_t)kind;
    }
}

static uint64_t
name_hash(uint32_t class, uint64_t schema_id, const char *name)
{
    return lk_hash_seeded(name, strlen(name), lk_hash_u64(schema_id * 64 + class));
}

/* --- entries --- */

static struct lki_catalog_entry *
entry_alloc(void)
{
    struct lki_catalog_entry *entry = lk_zalloc(NULL, sizeof(*entry));
    if (entry == NULL)
        return NULL;
    entry->refs = 1;
    entry->arena = lk_arena_create(NULL, 512);
    if (entry->arena == NULL) {
        lk_free(NULL, entry, sizeof(*entry));
        return NULL;
    }
    return entry;
}

luma_rc
lki_catalog_entry_create(struct luma_ctx *ctx, struct luma_slice body, int64_t rowid,
                         struct lki_catalog_entry **out_entry)
{
    struct lki_catalog_entry *entry = entry_alloc();
    if (entry == NULL)
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory for a catalogue object");
    entry->rowid = rowid;
    luma_rc rc = lki_catalog_body_read(ctx, body, entry->arena, &entry->object);
    if (rc != LUMA_OK) {
        lki_catalog_entry_unref(entry);
        return rc;
    }
    *out_entry = entry;
    return LUMA_OK;
}

static void
entry_ref(struct lki_catalog_entry *entry)
{
    __atomic_fetch_add(&entry->refs, 1, __ATOMIC_RELAXED);
}

void
lki_catalog_entry_unref(struct lki_catalog_entry *entry)
{
    if (entry == NULL || __atomic_sub_fetch(&entry->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    lk_arena_destroy(entry->arena);
    lk_free(NULL, entry, sizeof(*entry));
}

/* An index as an object of its own: what its table says of it, under its own name and id. */
static struct lki_catalog_entry *
index_entry(const struct luma_cat_object *table, const struct luma_cat_index *index)
{
    struct lki_catalog_entry *entry = entry_alloc();
    if (entry == NULL)
        return NULL;
    entry->rowid = -1;
    const char *comment = index->comment == NULL ? NULL
                                                 : luma_arena_text(entry->arena, index->comment,
                                                                   strlen(index->comment));
    entry->object = (struct luma_cat_object){
        .id = index->id,
        .kind = LUMA_CAT_INDEX,
        .name = luma_arena_text(entry->arena, index->name, strlen(index->name)),
        .schema_id = table->schema_id,
        .owner_id = table->owner_id,
        .comment = comment,
        .table_id = table->id,
    };
    if (entry->object.name == NULL) {
        lki_catalog_entry_unref(entry);
        return NULL;
    }
    return entry;
}

/* --- views --- */

struct luma_cat_view *
lki_catalog_view_create(void)
{
    struct luma_cat_view *view = calloc(1, sizeof(*view));
    if (view == NULL)
        return NULL;
    view->refs = 1;
    view->names_room = VIEW_NAMES_MIN;
    view->names = calloc(view->names_room, sizeof(view->names[0]));
    if (view->names == NULL) {
        free(view);
        return NULL;
    }
    return view;
}

struct luma_cat_view *
lki_catalog_view_copy(const struct luma_cat_view *view)
{
    struct luma_cat_view *copy = calloc(1, sizeof(*copy));
    if (copy == NULL)
        return NULL;
    /* Field by field: others count references to the shared one meanwhile. */
    copy->refs = 1;
    copy->private = view->private;
    copy->undo_count = view->undo_count;
    copy->version = view->version;
    copy->entries_count = view->entries_count;
    copy->entries_room = view->entries_count + 16;
    copy->names_room = view->names_room;
    copy->entries = malloc(copy->entries_room * sizeof(copy->entries[0]));
    copy->names = malloc(copy->names_room * sizeof(copy->names[0]));
    if (copy->entries == NULL || copy->names == NULL) {
        free(copy->entries);
        free(copy->names);
        free(copy);
        return NULL;
    }
    if (view->entries_count > 0)
        memcpy(copy->entries, view->entries, view->entries_count * sizeof(view->entries[0]));
    memcpy(copy->names, view->names, view->names_room * sizeof(view->names[0]));
    for (size_t i = 0; i < copy->entries_count; i++)
        entry_ref(copy->entries[i]);
    return copy;
}

void
lki_catalog_view_ref(struct luma_cat_view *view)
{
    __atomic_fetch_add(&view->refs, 1, __ATOMIC_RELAXED);
}

void
lki_catalog_view_unref(struct luma_cat_view *view)
{
    if (view == NULL || __atomic_sub_fetch(&view->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < view->entries_count; i++)
        lki_catalog_entry_unref(view->entries[i]);
    free(view->entries);
    free(view->names);
    free(view);
}

/* Place of id among the entries: where it is or where it belongs. */
static size_t
entry_place(const struct luma_cat_view *view, uint64_t id)
{
    size_t lo = 0, hi = view->entries_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (view->entries[mid]->object.id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct lki_catalog_entry *
lki_catalog_view_find(const struct luma_cat_view *view, uint64_t id)
{
    size_t i = entry_place(view, id);
    return i < view->entries_count && view->entries[i]->object.id == id ? view->entries[i] : NULL;
}

static bool
name_matches(const struct luma_cat_object *object, uint32_t class, uint64_t schema_id,
             const char *name)
{
    return name_class(object->kind) == class && object->schema_id == schema_id &&
           strcmp(object->name, name) == 0;
}

const struct luma_cat_object *
lki_catalog_view_named(const struct luma_cat_view *view, enum luma_cat_kind kind,
                       uint64_t schema_id, const char *name)
{
    uint32_t class = name_class(kind);
    if (class == 0)
        return NULL;
    size_t mask = view->names_room - 1;
    for (size_t i = (size_t)name_hash(class, schema_id, name) & mask;; i = (i + 1) & mask) {
        const struct lki_catalog_entry *entry = view->names[i];
        if (entry == NULL)
            return NULL;
        if (name_matches(&entry->object, class, schema_id, name))
            return &entry->object;
    }
}

static size_t
name_slot(const struct luma_cat_view *view, const struct luma_cat_object *o)
{
    return (size_t)name_hash(name_class(o->kind), o->schema_id, o->name) & (view->names_room - 1);
}

static void
names_insert(struct luma_cat_view *view, struct lki_catalog_entry *entry)
{
    if (name_class(entry->object.kind) == 0)
        return;
    size_t i = name_slot(view, &entry->object);
    while (view->names[i] != NULL)
        i = (i + 1) & (view->names_room - 1);
    view->names[i] = entry;
}

/* Linear probing without tombstones: what follows the hole moves back when it may. */
static void
names_remove(struct luma_cat_view *view, const struct lki_catalog_entry *entry)
{
    if (name_class(entry->object.kind) == 0)
        return;
    size_t mask = view->names_room - 1;
    size_t hole = name_slot(view, &entry->object);
    while (view->names[hole] != entry) {
        if (view->names[hole] == NULL)
            return;
        hole = (hole + 1) & mask;
    }
    for (size_t i = (hole + 1) & mask; view->names[i] != NULL; i = (i + 1) & mask) {
        size_t home = name_slot(view, &view->names[i]->object);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            view->names[hole] = view->names[i];
            hole = i;
        }
    }
    view->names[hole] = NULL;
}

static bool
view_grow(struct luma_cat_view *view)
{
    if (view->entries_count == view->entries_room) {
        size_t room = view->entries_room * 2 + 16;
        void *entries = realloc(view->entries, room * sizeof(view->entries[0]));
        if (entries == NULL)
            return false;
        view->entries = entries;
        view->entries_room = room;
    }
    if ((view->entries_count + 1) * 2 > view->names_room) {
        size_t room = view->names_room * 2;
        void *names = calloc(room, sizeof(view->names[0]));
        if (names == NULL)
            return false;
        free(view->names);
        view->names = names;
        view->names_room = room;
        for (size_t i = 0; i < view->entries_count; i++)
            names_insert(view, view->entries[i]);
    }
    return true;
}

static void
view_take_out(struct luma_cat_view *view, uint64_t id)
{
    size_t i = entry_place(view, id);
    if (i == view->entries_count || view->entries[i]->object.id != id)
        return;
    struct lki_catalog_entry *entry = view->entries[i];
    names_remove(view, entry);
    memmove(&view->entries[i], &view->entries[i + 1],
            (view->entries_count - i - 1) * sizeof(view->entries[0]));
    view->entries_count--;
    lki_catalog_entry_unref(entry);
}

static bool
view_put_in(struct luma_cat_view *view, struct lki_catalog_entry *entry)
{
    view_take_out(view, entry->object.id);
    if (!view_grow(view))
        return false;
    size_t i = entry_place(view, entry->object.id);
    memmove(&view->entries[i + 1], &view->entries[i],
            (view->entries_count - i) * sizeof(view->entries[0]));
    view->entries[i] = entry;
    view->entries_count++;
    names_insert(view, entry);
    return true;
}

void
lki_catalog_view_remove(struct luma_cat_view *view, uint64_t id)
{
    const struct lki_catalog_entry *old = lki_catalog_view_find(view, id);
    if (old == NULL)
        return;
    for (uint32_t i = 0; i < old->object.indexes_count; i++)
        view_take_out(view, old->object.indexes[i].id);
    view_take_out(view, id);
}

luma_rc
lki_catalog_view_put(struct luma_ctx *ctx, struct luma_cat_view *view,
                     struct lki_catalog_entry *entry)
{
    lki_catalog_view_remove(view, entry->object.id);
    if (!view_put_in(view, entry)) {
        lki_catalog_entry_unref(entry);
        return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory for the catalogue");
    }
    for (uint32_t i = 0; i < entry->object.indexes_count; i++) {
        struct lki_catalog_entry *index = index_entry(&entry->object, &entry->object.indexes[i]);
        if (index == NULL || !view_put_in(view, index)) {
            lki_catalog_entry_unref(index);
            return LUMA_FAIL(ctx, LUMA_E_NOMEM, "out of memory for the catalogue");
        }
    }
    return LUMA_OK;
}
