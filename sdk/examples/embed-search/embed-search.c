/*
 * embed-search - an inverted index in a program: embed-search DIR [MODULE-DIR CONF-DIR]
 *
 * Adds documents, closes the store, opens it again and asks for those that hold all words.
 */
#include <lumadb/embed.h>

#include <roaring/roaring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct luma_db_error error;

static void
must(luma_rc rc, const char *what)
{
    if (rc == LUMA_OK)
        return;
    fprintf(stderr, "%s: %s (SQLSTATE %s)\n", what, error.message, error.sqlstate);
    exit(1);
}

static struct luma_db *
open_store(char **argv, int argc)
{
    struct luma_db_opts opts = {.size_bytes = sizeof(opts)};
    struct luma_db *db = NULL;
    if (argc > 3) { /* otherwise where LumaDB was installed */
        opts.module_dir = argv[2];
        opts.conf_dir = argv[3];
    }
    must(luma_db_open(argv[1], &opts, &db, &error), "open");
    return db;
}

static void
add(struct luma_db *db, uint32_t id, const char *text)
{
    const struct luma_db_document document = {id, text, strlen(text)};
    must(luma_db_add_documents(db, "pages", &document, 1, &error), "add");
}

static bool
print_id(uint32_t id, void *arg)
{
    (void)arg;
    printf(" %u", (unsigned)id);
    return true;
}

static void
search(struct luma_db *db, const char *const *terms, size_t count)
{
    roaring_bitmap_t *found = NULL;
    must(luma_db_search_and(db, "pages", terms, count, &found, &error), "search");
    for (size_t i = 0; i < count; i++)
        printf("%s%s", i == 0 ? "" : " AND ", terms[i]);
    printf(":");
    roaring_iterate(found, print_id, NULL);
    printf("\n");
    roaring_bitmap_free(found);
}

int
main(int argc, char **argv)
{
    static const char *const both[] = {"hello", "rust"}, *const hello[] = {"HELLO"};
    static const char *const none[] = {"hello", "world", "golang"};
    if (argc < 2) {
        fprintf(stderr, "usage: embed-search DIR [MODULE-DIR CONF-DIR]\n");
        return 2;
    }
    struct luma_db *db = open_store(argv, argc);
    add(db, 1, "hello world rust");
    add(db, 2, "hello golang");
    add(db, 3, "Goodbye, Rust!");
    add(db, 3, "Hello again"); /* takes the place of the one before */
    must(luma_db_close(db, &error), "close");

    db = open_store(argv, argc);
    search(db, both, 2);
    search(db, hello, 1);
    search(db, none, 3);
    must(luma_db_close(db, &error), "close");
    return 0;
}
