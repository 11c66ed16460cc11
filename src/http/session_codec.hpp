#pragma once

#include <millrace/base/error.hpp>
#include <millrace/engine/session_steps.hpp>
#include <millrace/http/session_settings.hpp>

#include <cstdint>
#include <string>
#include <string_view>

/// Sessions as JSON, in the shapes of the API. Decoders are strict, as those of jobs.
namespace millrace::http {

/// `{"user","label","data","idle","absolute","touch_every","max_per_user","when_full"}`.
[[nodiscard]] result<engine::create_session> decode_create_session(
    std::string_view body, std::string project, const session_settings& otherwise);
/// `{"data"}`, which has to be there. With `replace` it is all there is; else null removes a field.
[[nodiscard]] result<engine::change_session> decode_change_session(std::string_view body,
                                                                   std::string project,
                                                                   bool replace);
/// `{"data","replace","if_version"}`: the step of a commit.
[[nodiscard]] result<engine::change_session> decode_session_update(std::string_view body,
                                                                   std::string project);
/// `{"grace","user","data","max_per_user","when_full"}`.
[[nodiscard]] result<engine::rotate_session> decode_rotate_session(
    std::string_view body, std::string project, const session_settings& otherwise);

/// `{"ref","user","label","version",…,"data":{…}}`; with `id` where it is told.
void append_session(std::string& out, const engine::session_info& session, std::string_view id);
/// `{"sessions":[…],"count","cursor"}`, without ids and data.
void append_session_page(std::string& out, const engine::session_page& page);

}  // namespace millrace::http
