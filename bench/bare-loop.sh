# What one would write by hand to keep docker config files like a mounted Secret: bare-loop.sh VOLUME FILE...
# It knows nothing of what else is in the files. What it promises is what the agent promises: whole or not at all, and
# durable, in content and in name.
set -euo pipefail
volume=$1
shift

# Ends with this shell, also when that is killed.
coproc watch { exec setpriv --pdeathsig=KILL inotifywait --monitor --event moved_to --format %f "$volume"; }
watcher=$watch_PID
trap 'kill "$watcher"; wait "$watcher"' EXIT
trap exit TERM

while read -r name <&"${watch[0]}"; do
  [ "$name" = ..data ] || continue
  for target; do
    cp "$volume/.dockerconfigjson" "$target.new"
    sync "$target.new"
    mv "$target.new" "$target"
    sync "${target%/*}"
  done
done
