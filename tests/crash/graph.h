/*
 * tests/crash/graph.h - what must come before what, and a cycle in it.
 */
#ifndef TEST_GRAPH_H
#define TEST_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct graph_edge {
    uint32_t from, to;
    uint8_t kind;
    int8_t key;
};

struct graph {
    uint32_t nodes;
    struct graph_edge *edges;
    uint32_t edges_count, edges_room;
    uint32_t *first; /* per node, once sorted: its first edge */
};

void graph_edge(struct graph *g, uint32_t from, uint32_t to, uint8_t kind, int key);
void graph_fini(struct graph *g);
/* A short cycle: its edges in order, in heap memory; 0: there is none. */
uint32_t graph_cycle(struct graph *g, struct graph_edge **out_edges);

#endif
