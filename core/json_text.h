// Small pieces of JSON text. Whole documents are read with nlohmann::json where they are needed.
#pragma once

#include <string>

namespace lockstep {

// Shortest text that reads back to the same double, always with a point: "3.0", "1.0e-4".
// Infinities and NaN are ".inf", "-.inf", ".nan" (YAML's words; JSON has none).
std::string format_double(double value);

// A JSON string with its quotes, also valid as a double-quoted YAML string. `text` is UTF-8.
std::string quote_json(const std::string& text);

}  // namespace lockstep
