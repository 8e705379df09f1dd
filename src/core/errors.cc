#include "core/errors.h"

namespace lockstep {

Error::Error(ExitCode code, std::string fact, std::string help, Place place)
    : code_(code), fact_(std::move(fact)), help_(std::move(help)), place_(std::move(place)) {
  update_what();
}

void Error::add_context(std::string what) {
  context_.push_back(std::move(what));
  update_what();
}

void Error::set_place(Place place) {
  if (place_.file.empty()) place_ = std::move(place);
}

void Error::update_what() {
  what_ = fact_;
  if (context_.empty()) return;
  what_ += " (";
  for (size_t i = 0; i < context_.size(); ++i) what_ += (i ? ", while " : "while ") + context_[i];
  what_ += ")";
}

std::string Error::message() const {
  std::string out = "error: " + what_;
  if (!place_.file.empty()) {
    out += "\n  --> " + place_.file;
    if (place_.line > 0) out += ":" + std::to_string(place_.line);
    if (place_.line > 0 && place_.column > 0) out += ":" + std::to_string(place_.column);
  }
  if (!place_.text.empty()) {
    const std::string number = place_.line > 0 ? std::to_string(place_.line) : "";
    const std::string gutter(number.size(), ' ');
    out += "\n" + number + " | " + place_.text;
    if (place_.column > 0) out += "\n" + gutter + " | " + std::string(place_.column - 1, ' ') + "^";
  }
  if (!help_.empty()) out += "\nhelp: " + help_;
  return out;
}

}  // namespace lockstep
