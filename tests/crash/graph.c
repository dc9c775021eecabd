/* tests/crash/graph.c - see graph.h. */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void
graph_edge(struct graph *g, uint32_t from, uint32_t to, uint8_t kind, int key)
{
    if (g->edges_count == g->edges_room) {
        g->edges_room = g->edges_room == 0 ? 4096 : g->edges_room * 2;
        g->edges = realloc(g->edges, g->edges_room * sizeof(*g->edges));
        if (g->edges == NULL)
            abort();
    }
    g->edges[g->edges_count++] = (struct graph_edge){from, to, kind, (int8_t)key};
}

void
graph_fini(struct graph *g)
{
    free(g->edges);
    free(g->first);
    memset(g, 0, sizeof(*g));
}

static void *
zeros(size_t count, size_t bytes)
{
    void *p = calloc(count, bytes);
    if (p == NULL)
        abort();
    return p;
}

/* Edges by where they begin. */
static void
edges_sort(struct graph *g)
{
    struct graph_edge *sorted = zeros((size_t)g->edges_count + 1, sizeof(*sorted));
    uint32_t *first = zeros((size_t)g->nodes + 2, sizeof(*first));
    for (uint32_t i = 0; i < g->edges_count; i++)
        first[g->edges[i].from + 2]++;
    for (uint32_t n = 2; n <= g->nodes; n++)
        first[n] += first[n - 1];
    for (uint32_t i = 0; i < g->edges_count; i++)
        sorted[first[g->edges[i].from + 1]++] = g->edges[i];
    free(g->edges);
    free(g->first);
    g->edges = sorted;
    g->first = first;
}

/* A node of a cycle, by taking away whatever nothing comes before; UINT32_MAX: there is none. */
static uint32_t
node_in_cycle(const struct graph *g, bool *out_left)
{
    uint32_t *ins = zeros((size_t)g->nodes + 1, sizeof(*ins));
    uint32_t *queue = zeros((size_t)g->nodes + 1, sizeof(*queue)), head = 0, tail = 0;
    for (uint32_t i = 0; i < g->edges_count; i++)
        ins[g->edges[i].to]++;
    for (uint32_t n = 0; n < g->nodes; n++)
        if (ins[n] == 0)
            queue[tail++] = n;
    while (head < tail) {
        uint32_t n = queue[head++];
        for (uint32_t i = g->first[n]; i < g->first[n + 1]; i++)
            if (--ins[g->edges[i].to] == 0)
                queue[tail++] = g->edges[i].to;
    }
    uint32_t found = UINT32_MAX;
    for (uint32_t n = 0; n < g->nodes; n++) {
        out_left[n] = ins[n] > 0;
        if (out_left[n] && found == UINT32_MAX)
            found = n;
    }
    free(ins);
    free(queue);
    return found;
}

/* The shortest way from n back to n: how many edges; 0: none. by[m]: the edge that reached m. */
static uint32_t
way_back(const struct graph *g, uint32_t n, const bool *left, uint32_t *by, uint32_t *queue)
{
    uint32_t head = 0, tail = 0, length = 0;
    memset(by, 0xff, ((size_t)g->nodes + 1) * sizeof(*by));
    queue[tail++] = n;
    while (head < tail && by[n] == UINT32_MAX) {
        uint32_t at = queue[head++];
        for (uint32_t i = g->first[at]; i < g->first[at + 1]; i++) {
            uint32_t to = g->edges[i].to;
            if (!left[to] || by[to] != UINT32_MAX)
                continue;
            by[to] = i;
            queue[tail++] = to;
        }
    }
    if (by[n] == UINT32_MAX)
        return 0;
    uint32_t at = n;
    do {
        at = g->edges[by[at]].from;
        length++;
    } while (at != n);
    return length;
}

#define TRIES 200 /* nodes from which a way back is looked for */

uint32_t
graph_cycle(struct graph *g, struct graph_edge **out_edges)
{
    bool *left = zeros((size_t)g->nodes + 1, sizeof(*left));
    uint32_t *by = zeros((size_t)g->nodes + 1, sizeof(*by));
    uint32_t *queue = zeros((size_t)g->nodes + 1, sizeof(*queue));
    uint32_t best = UINT32_MAX, length = 0;
    edges_sort(g);
    uint32_t n = node_in_cycle(g, left);
    for (int tries = 0; n < g->nodes && tries < TRIES; n++) {
        if (!left[n])
            continue;
        tries++;
        uint32_t edges = way_back(g, n, left, by, queue);
        if (edges > 0 && (best == UINT32_MAX || edges < length)) {
            best = n;
            length = edges;
        }
    }
    *out_edges = NULL;
    if (best != UINT32_MAX) {
        *out_edges = zeros(length, sizeof(**out_edges));
        way_back(g, best, left, by, queue);
        uint32_t at = best;
        for (uint32_t i = length; i > 0; i--) {
            (*out_edges)[i - 1] = g->edges[by[at]];
            at = g->edges[by[at]].from;
        }
    }
    free(left);
    free(by);
    free(queue);
    return length;
}
