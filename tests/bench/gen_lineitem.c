/*
 * gen_lineitem - rows of TPC-H's lineitem, with its value ranges and correlations, for COPY.
 *
 * gen_lineitem ROWS writes text with '|' between columns. The same count gives the same bytes.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAYS      2557 /* 1992-01-01 .. 1998-12-31 */
#define LAST_SHIP 2405 /* orders end on 1998-08-02; a line ships 1 to 121 days later */

static uint64_t rng_state = 0x9e3779b97f4a7c15u;

static uint64_t
rng(void)
{
    rng_state += 0x9e3779b97f4a7c15u;
    uint64_t z = rng_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t
between(uint32_t low, uint32_t high)
{
    return low + (uint32_t)(rng() % (high - low + 1));
}

static char date_text[DAYS + 1][40];

static void
make_dates(void)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = 1992, month = 0, day = 0;
    for (int i = 0; i <= DAYS; i++) {
        snprintf(date_text[i], sizeof date_text[i], "%04d-%02d-%02d", year, month + 1, day + 1);
        int length = month_days[month] + (month == 1 && year % 4 == 0);
        if (++day == length) {
            day = 0;
            if (++month == 12) {
                month = 0;
                year++;
            }
        }
    }
}

static const char *const instructs[] = {"DELIVER IN PERSON", "COLLECT COD", "NONE",
                                        "TAKE BACK RETURN"};
static const char *const modes[] = {"REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"};
static const char *const words[] = {"carefully", "final",    "deposits", "sleep",      "quickly",
                                    "ironic",    "requests", "regular",  "haggle",     "furiously",
                                    "pending",   "accounts", "bold",     "silent",     "packages",
                                    "above",     "the",      "express",  "theodolites"};

static void
make_comment(char *out, size_t bytes)
{
    size_t limit = between(10, (uint32_t)bytes - 1), used = 0;
    out[0] = '\0';
    for (;;) {
        const char *word = words[between(0, sizeof words / sizeof words[0] - 1)];
        size_t length = strlen(word);
        if (used + length + 1 > limit)
            return;
        if (used > 0)
            out[used++] = ' ';
        memcpy(out + used, word, length + 1);
        used += length;
    }
}

static void
print_line(uint64_t order, uint32_t number, uint32_t order_day)
{
    uint32_t ship = order_day + between(1, 121);
    uint32_t commit = order_day + between(30, 90);
    uint32_t receipt = ship + between(1, 30);
    uint32_t part = between(1, 200000), quantity = between(1, 50);
    uint64_t retail_cents = 90000 + ((part / 10) % 20001) + 100 * (part % 1000);
    uint64_t price_cents = retail_cents * quantity;
    const uint32_t current_day = 1263; /* 1995-06-17 */
    char flag = receipt <= current_day ? (rng() & 1 ? 'R' : 'A') : 'N';
    char comment[44];
    make_comment(comment, sizeof comment);
    printf("%" PRIu64 "|%u|%u|%u|%u.00|%" PRIu64 ".%02" PRIu64
           "|0.%02u|0.%02u|%c|%c|%s|%s|%s|%s|%s|%s\n",
           order, part, between(1, 10000), number, quantity, price_cents / 100, price_cents % 100,
           between(0, 10), between(0, 8), flag, ship > current_day ? 'O' : 'F', date_text[ship],
           date_text[commit], date_text[receipt], instructs[between(0, 3)], modes[between(0, 6)],
           comment);
}

int
main(int argc, char **argv)
{
    uint64_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 6000000, done = 0;
    make_dates();
    for (uint64_t i = 0; done < rows; i++) {
        uint64_t order = (i / 8) * 32 + i % 8 + 1;
        uint32_t order_day = between(0, LAST_SHIP), lines = between(1, 7);
        for (uint32_t n = 1; n <= lines && done < rows; n++, done++)
            print_line(order, n, order_day);
    }
    return ferror(stdout) || fflush(stdout) != 0;
}
