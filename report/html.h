// Pieces of HTML: escaping, pictures inside the page, the frame with its style sheet.
#pragma once

#include <string>

namespace lockstep {

// &, <, >, " and ' as entities; bytes that are no UTF-8 become U+FFFD, so that a damaged log
// cannot damage the page.
std::string escape_html(const std::string& text);

std::string base64(const std::string& bytes);

// A whole page. `body` is HTML already.
std::string html_page(const std::string& title, const std::string& body);

// <section id=…><h2>…</h2>…</section>; "" if there is no content.
std::string html_section(const std::string& id, const std::string& title,
                         const std::string& content);

}  // namespace lockstep
