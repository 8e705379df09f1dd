// Solves Sudoku by propagation on bit sets and binary search.
//
// For each digit three words hold its candidate cells, one word of 27 bits a band. Within a band
// the digit takes one mini-row (three cells of one row and box) in each row and each box: a 3×3
// pattern of which only the union of its permutations can be used. The same holds for columns in a
// stack. Both are one table look-up of 512 entries; together they give locked candidates and, as
// their fixed point, hidden singles. Naked singles come from counting candidates of all 27 cells of
// a band at once. A puzzle of 24 givens takes a few microseconds.
#pragma once

#include <functional>

#include "data/sudoku/sudoku_grid.h"

namespace lockstep {

// Called with each solution; returns false to stop.
using SolutionVisitor = std::function<bool(const Grid& solution)>;

// Visits the solutions of `puzzle` in a fixed order. Cells are 0–9.
void visit_solutions(const Grid& puzzle, const SolutionVisitor& visit);
// Number of solutions, counted up to `limit`; the first one goes to `solution` if given.
int count_solutions(const Grid& puzzle, int limit, Grid* solution = nullptr);
// True if `puzzle` has a solution whose cell `cell` is not `digit`. If puzzle plus that given has
// exactly one solution, the puzzle itself has one exactly if this is false: half the work of
// counting.
bool has_solution_without(const Grid& puzzle, int cell, int digit);

}  // namespace lockstep
