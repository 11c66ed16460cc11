#include "commands.hpp"
#include "serve.hpp"
#include "work.hpp"

namespace millrace::cli {

std::vector<command> server_commands() {
  return {
      {.name = "serve",
       .purpose = "Run a server: everything that millrace has, behind its API.",
       .options = serve_options(),
       .examples =
           {"millrace serve",
            "millrace serve --listen 127.0.0.1:0 --data /var/lib/millrace --log-format json",
            "millrace serve --config millrace.toml"},
       .run = serve,
       .notes =
           "Everything can also be set in the file or by variables (MILLRACE_LISTEN, …): "
           "options count\nbefore variables, variables before the file. SIGTERM and Ctrl-C end "
           "it within 10 s; nothing that\nwas answered is lost, whatever ends it."},
      {.name = "worker",
       .purpose = "Take jobs from a server and run them.",
       .arguments = {{.name = "ARG",
                      .purpose = "the program's arguments, after --",
                      .required = false,
                      .repeated = true}},
       .options = work_options(),
       .examples =
           {"millrace worker --queue mail --exec ./send-mail",
            "millrace worker --queue video:3 --queue audio --concurrency 4 --exec python3 -- "
            "convert.py --fast",
            "millrace worker --queue hooks --http http://127.0.0.1:8080/jobs"},
       .run = work,
       .notes =
           "A program ends with 0 when the job is done, 65 when it can never be done, anything "
           "else to have it\nrun again. SIGTERM and Ctrl-C hand running jobs back; a second one "
           "does not wait."},
  };
}

}  // namespace millrace::cli
