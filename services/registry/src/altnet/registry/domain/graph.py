"""How an undirected graph holds together: its components, and the nodes whose loss would split it.

Nodes are numbers from 0; a graph is the list of their neighbours. Hopcroft and Tarjan's depth-first search (1973),
without recursion. Leaves out weights and paths.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

Graph = Sequence[Collection[int]]


def components(graph: Graph, *, without: int | None = None) -> list[set[int]]:
    """The connected components, largest first (equal ones by their lowest node), of the graph without one node."""
    seen = [False] * len(graph)
    if without is not None:
        seen[without] = True
    found: list[set[int]] = []
    for start in range(len(graph)):
        if seen[start]:
            continue
        seen[start] = True
        piece = [start]
        for node in piece:
            for other in graph[node]:
                if not seen[other]:
                    seen[other] = True
                    piece.append(other)
        found.append(set(piece))
    found.sort(key=lambda piece: (-len(piece), min(piece)))
    return found


def cut_nodes(graph: Graph) -> list[int]:
    """The nodes without which their component falls apart (articulation points), in order."""
    count = len(graph)
    order = [-1] * count
    low = [0] * count
    cuts: set[int] = set()
    clock = 0
    for root in range(count):
        if order[root] >= 0:
            continue
        order[root] = low[root] = clock
        clock += 1
        branches = 0
        path = [(root, -1, iter(graph[root]))]
        while path:
            node, parent, ahead = path[-1]
            for other in ahead:
                if order[other] < 0:
                    order[other] = low[other] = clock
                    clock += 1
                    path.append((other, node, iter(graph[other])))
                    break
                if other != parent and order[other] < low[node]:
                    low[node] = order[other]
            else:
                path.pop()
                if parent < 0:
                    continue
                low[parent] = min(low[parent], low[node])
                if parent == root:
                    branches += 1
                elif low[node] >= order[parent]:
                    cuts.add(parent)
        if branches > 1:
            cuts.add(root)
    return sorted(cuts)
