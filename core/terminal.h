// The terminal on stderr, shared by the log and the progress bar: a line that is printed while a
// bar stands there goes above it.
#pragma once

#include <string>

namespace lockstep {

bool stderr_is_terminal();
// Columns of the terminal on stderr; 80 if unknown.
int terminal_columns();
// Writes a line to stderr, above the bar if there is one. Thread-safe.
void print_line(const std::string& line);
// Draws the bar (cut to the terminal's width) in place of the old one; "" removes it. Thread-safe.
void draw_bar(const std::string& text);

}  // namespace lockstep
