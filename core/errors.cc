#include "core/errors.h"

#include "core/program_name.h"

namespace lockstep {
namespace {

// C0 controls except line feed, DEL, and C1 controls (U+0080–U+009F in UTF-8) as '?'.
std::string printable(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      out += '?';
      ++i;
    } else {
      out += (byte < 0x20 && byte != '\n') || byte == 0x7F ? '?' : text[i];
    }
  }
  return out;
}

}  // namespace

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
  std::string out = "error: " + printable(what_);
  if (!place_.file.empty()) {
    out += "\n  --> " + printable(place_.file);
    if (place_.line > 0) out += ":" + std::to_string(place_.line);
    if (place_.line > 0 && place_.column > 0) out += ":" + std::to_string(place_.column);
  }
  if (!place_.text.empty()) {
    const std::string number = place_.line > 0 ? std::to_string(place_.line) : "";
    const std::string gutter(number.size(), ' ');
    const std::string before = place_.skipped > 0 ? "..." : "";
    out += "\n" + number + " | " + before + printable(place_.text);
    const int indent = place_.column - 1 - place_.skipped + static_cast<int>(before.size());
    if (place_.column > 0 && indent >= 0)
      out += "\n" + gutter + " | " + std::string(indent, ' ') + "^";
  }
  if (!help_.empty()) out += "\nhelp: " + printable(help_);
  return with_program_name(out);
}

}  // namespace lockstep
