/* main/transfer/options.c - the command lines of `lumadb import` and `lumadb export`. */
#include <getopt.h>
#include <strings.h>

#include "main/transfer/transfer.h"

#define HELP_SERVER                                                                          \
    "  -h, --host HOST       server (PGHOST, default localhost)\n"                           \
    "  -p, --port PORT       its port (PGPORT, default 5432)\n"                              \
    "  -U, --user NAME       who comes (PGUSER, default lumadb)\n"                           \
    "  -d, --database NAME   database (PGDATABASE, default \"default\")\n"                   \
    "  -w, --no-password     never ask for a password (PGPASSWORD and ~/.pgpass are used)\n" \
    "  -q, --quiet           no words but errors\n"                                          \
    "      --help            this\n"                                                         \
    "\n"

static const char help_import[] =
    "usage: lumadb import --table NAME [OPTION]... [FILE]\n"
    "\n"
    "Loads a file, or standard input, into a table of a running server, in one transaction: an "
    "error\n"
    "or Ctrl-C leaves nothing behind. FILE may be compressed by gzip or zstd.\n"
    "\n"
    "  -t, --table NAME      the table; upper case counts between double quotes only\n"
    "  -F, --format NAME     csv or ndjson; default: by the ending of FILE (.csv, .tsv, .ndjson,\n"
    "                        .jsonl, .json, each with .gz or .zst)\n"
    "  -c, --create          make the table; types are those that the first 8 MiB fit\n"
    "  -C, --columns LIST    columns of the fields of CSV in order, or fields of NDJSON to take\n"
    "  -D, --document NAME   NDJSON: each line goes whole into this column\n"
    "      --header          CSV: the first line names the columns (the default)\n"
    "      --no-header       CSV: the first line is data\n"
    "      --delimiter C     CSV: between fields, one byte or \\t (default , and a tab for .tsv)\n"
    "  -n, --null TEXT       CSV: what stands, without quotes, for NULL (default nothing)\n"
    "  -e, --on-error WHAT   stop (default), or skip: leave out the records that are refused\n"
    "      --rejected FILE   write the records that were refused there, as they came\n" HELP_SERVER
    "Exit status: 0 all is in, 1 it failed and nothing is in, 2 a mistake in the command line,\n"
    "3 no connection, 4 all is in but records that were skipped.\n";

static const char help_export[] =
    "usage: lumadb export (--table NAME | --query SQL) [OPTION]... [FILE]\n"
    "\n"
    "Writes a table or what a query gives to a file, or to standard output. The file is "
    "compressed\n"
    "if its name ends in .gz or .zst, and appears under its name when it is complete.\n"
    "\n"
    "  -t, --table NAME      the table; upper case counts between double quotes only\n"
    "  -Q, --query SQL       a SELECT, VALUES or WITH instead\n"
    "  -F, --format NAME     csv or ndjson; default: by the ending of FILE (.csv, .tsv, .ndjson,\n"
    "                        .jsonl, .json, each with .gz or .zst)\n"
    "  -C, --columns LIST    these columns of the table\n"
    "  -D, --document NAME   NDJSON: lines are the values of this column\n"
    "      --header          CSV: the first line names the columns (the default)\n"
    "      --no-header       CSV: data only\n"
    "      --delimiter C     CSV: between fields, one byte or \\t (default , and a tab for .tsv)\n"
    "  -n, --null TEXT       CSV: what stands for NULL (default nothing)\n" HELP_SERVER
    "Exit status: 0 it is written, 1 it failed, 2 a mistake in the command line, 3 no "
    "connection.\n";

enum { OPT_HELP = 256, OPT_HEADER, OPT_NO_HEADER, OPT_DELIMITER, OPT_REJECTED };

static int
usage_error(const struct lki_transfer *t, const char *what, const char *value)
{
    const char *name = t->import ? "import" : "export";
    fprintf(stderr, "lumadb %s: %s%s%s%s\nlumadb %s --help says more\n", name, what,
            value == NULL ? "" : " \"", value == NULL ? "" : value, value == NULL ? "" : "\"",
            name);
    return SHELL_USAGE;
}

struct given {
    const char *format, *delimiter, *null_text, *on_error;
    int header; /* 0: not said */
};

static bool
take_server(struct lki_transfer *t, int c)
{
    switch (c) {
    case 'h':
        t->host = optarg;
        return true;
    case 'p':
        t->port = optarg;
        return true;
    case 'U':
        t->user = optarg;
        return true;
    case 'd':
        t->database = optarg;
        return true;
    case 'w':
        t->never_ask = true;
        return true;
    case 'q':
        t->quiet = true;
        return true;
    default:
        return false;
    }
}

static bool
take_import(struct lki_transfer *t, struct given *given, int c)
{
    switch (c) {
    case 'c':
        t->create = true;
        return t->import;
    case 'e':
        given->on_error = optarg;
        return t->import;
    case OPT_REJECTED:
        t->rejected = optarg;
        return t->import;
    case 'Q':
        t->query = optarg;
        return !t->import;
    default:
        return false;
    }
}

static bool
take_data(struct lki_transfer *t, struct given *given, int c)
{
    switch (c) {
    case 't':
        t->table = optarg;
        return true;
    case 'F':
        given->format = optarg;
        return true;
    case 'C':
        t->columns = optarg;
        return true;
    case 'D':
        t->document = optarg;
        return true;
    case 'n':
        given->null_text = optarg;
        return true;
    case OPT_DELIMITER:
        given->delimiter = optarg;
        return true;
    case OPT_HEADER:
    case OPT_NO_HEADER:
        given->header = c;
        return true;
    default:
        return take_import(t, given, c);
    }
}

/* 'c', 't' or 'j' by the ending of a name; 0: it says nothing. */
static char
ending_of(const char *file)
{
    static const struct {
        const char *text;
        char what;
    } endings[] = {{".csv", 'c'}, {".tsv", 't'}, {".ndjson", 'j'}, {".jsonl", 'j'}, {".json", 'j'}};
    size_t n = file == NULL ? 0 : strlen(file);
    if (n > 3 && strcmp(file + n - 3, ".gz") == 0)
        n -= 3;
    else if (n > 4 && strcmp(file + n - 4, ".zst") == 0)
        n -= 4;
    for (size_t i = 0; i < LUMA_COUNTOF(endings); i++) {
        size_t m = strlen(endings[i].text);
        if (n > m && strncasecmp(file + n - m, endings[i].text, m) == 0)
            return endings[i].what;
    }
    return 0;
}

static int
settle_format(struct lki_transfer *t, const struct given *given)
{
    char ending = ending_of(t->file);
    if (given->format == NULL && ending == 0)
        return usage_error(t,
                           "--format csv or --format ndjson is wanted: the name of the file does "
                           "not say",
                           NULL);
    t->csv = given->format == NULL ? ending != 'j' : strcasecmp(given->format, "csv") == 0;
    if (given->format != NULL && !t->csv && strcasecmp(given->format, "ndjson") != 0)
        return usage_error(t, "--format wants csv or ndjson, not", given->format);
    t->delimiter = ending == 't' ? '\t' : ',';
    if (given->delimiter != NULL && strcmp(given->delimiter, "\\t") == 0)
        t->delimiter = '\t';
    else if (given->delimiter != NULL) {
        if (strlen(given->delimiter) != 1 || strchr("\r\n\"", given->delimiter[0]) != NULL)
            return usage_error(t, "--delimiter wants one byte, no quote and no line end, not",
                               given->delimiter);
        t->delimiter = given->delimiter[0];
    }
    t->header = given->header != OPT_NO_HEADER;
    t->null_text = given->null_text == NULL ? "" : given->null_text;
    if (strpbrk(t->null_text, "\"\r\n") != NULL || strchr(t->null_text, t->delimiter) != NULL)
        return usage_error(t, "--null wants a text without quotes, line ends and the delimiter",
                           NULL);
    if (!t->csv && (given->delimiter != NULL || given->header != 0 || given->null_text != NULL))
        return usage_error(t, "--delimiter, --header and --null are for CSV", NULL);
    if (t->csv && t->document != NULL)
        return usage_error(t, "--document is for NDJSON", NULL);
    return -1;
}

static int
settle(struct lki_transfer *t, const struct given *given)
{
    if (t->import && t->table == NULL)
        return usage_error(t, "--table is wanted", NULL);
    if (!t->import && (t->table == NULL) == (t->query == NULL))
        return usage_error(t, "one of --table and --query is wanted", NULL);
    if (t->query != NULL && t->columns != NULL)
        return usage_error(t, "--columns is for --table", NULL);
    if (t->document != NULL && t->columns != NULL)
        return usage_error(t, "--document and --columns exclude each other", NULL);
    if (given->on_error != NULL && strcmp(given->on_error, "skip") != 0 &&
        strcmp(given->on_error, "stop") != 0)
        return usage_error(t, "--on-error wants stop or skip, not", given->on_error);
    t->skip = given->on_error != NULL && strcmp(given->on_error, "skip") == 0;
    return settle_format(t, given);
}

int
lki_transfer_parse(struct lki_transfer *t, int argc, char **argv)
{
    static const struct option names[] = {{"table", required_argument, NULL, 't'},
                                          {"query", required_argument, NULL, 'Q'},
                                          {"format", required_argument, NULL, 'F'},
                                          {"create", no_argument, NULL, 'c'},
                                          {"columns", required_argument, NULL, 'C'},
                                          {"document", required_argument, NULL, 'D'},
                                          {"header", no_argument, NULL, OPT_HEADER},
                                          {"no-header", no_argument, NULL, OPT_NO_HEADER},
                                          {"delimiter", required_argument, NULL, OPT_DELIMITER},
                                          {"null", required_argument, NULL, 'n'},
                                          {"on-error", required_argument, NULL, 'e'},
                                          {"rejected", required_argument, NULL, OPT_REJECTED},
                                          {"host", required_argument, NULL, 'h'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"user", required_argument, NULL, 'U'},
                                          {"database", required_argument, NULL, 'd'},
                                          {"no-password", no_argument, NULL, 'w'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"help", no_argument, NULL, OPT_HELP},
                                          {NULL, 0, NULL, 0}};
    struct given given = {0};
    int c;
    opterr = 0;
    while ((c = getopt_long(argc, argv, ":t:Q:F:cC:D:n:e:h:p:U:d:wq", names, NULL)) != -1) {
        if (c == OPT_HELP) {
            fputs(t->import ? help_import : help_export, stdout);
            return SHELL_OK;
        }
        if (c == ':')
            return usage_error(t, "an option wants a value:", argv[optind - 1]);
        if (c == '?' || (!take_server(t, c) && !take_data(t, &given, c)))
            return usage_error(t, "no such option:", argv[optind - 1]);
    }
    if (optind < argc && strcmp(argv[optind], "-") != 0)
        t->file = argv[optind];
    optind += optind < argc;
    if (optind < argc)
        return usage_error(t, "what is this?", argv[optind]);
    return settle(t, &given);
}
