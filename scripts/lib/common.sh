# Shared by scripts/setup, scripts/lockstep and scripts/test. Sourced; sets `root` and functions.
# Fast on purpose: when nothing is to be done, all checks together cost a few milliseconds.
# shellcheck shell=bash

script=${BASH_SOURCE[1]}
if [[ -L $script ]]; then
  script=$(readlink -f -- "$script")
fi
root=$(cd -- "${script%/*}/.." && pwd -P)
build=${LOCKSTEP_BUILD_DIR:-$root/build}
[[ $build == /* ]] || build=$PWD/$build

say() { printf '%s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

# Prints "cuda" if LibTorch's CUDA half is wanted, where there is a toolkit to build the plug-in
# with: this machine has a driver, or somebody asked for it, or the tests are to check what can be
# checked without a GPU. What was brought once stays.
cuda_wanted() {
  [[ ${LOCKSTEP_CUDA:-} != 0 ]] || return 0
  if [[ ${LOCKSTEP_CUDA:-} == 1 || ${for_tests:-} == yes || -e /proc/driver/nvidia/version ||
    -e /dev/nvidiactl || -e $root/.deps/torch/lib/libtorch_cuda.so ]]; then
    printf 'cuda\n'
  fi
}

# One line that changes when set-up may have something to do.
setup_fingerprint() {
  {
    printf '%s\n' "$root" "${LOCKSTEP_TORCH:-}" "${LOCKSTEP_CUDA:-}" "${LOCKSTEP_ROOT:-}"
    cuda_wanted
    cat "$root"/scripts/dependencies.json "$root"/scripts/lib/*.py
  } | sha256sum
}

# Is everything there that the last set-up left, made from the same inputs?
setup_is_current() {
  local stamp=$root/.deps/stamp line
  [[ -f $stamp ]] || return 1
  # Did pip change a linked torch?
  [[ ! $root/.deps/torch/include/torch/headeronly/version.h -nt $stamp ]] || return 1
  {
    read -r line
    [[ $line == "$(setup_fingerprint)" ]] || return 1
    while read -r line; do
      [[ -e $line ]] || return 1
    done
  } <"$stamp"
}

ensure_setup() {
  if ! setup_is_current; then
    command -v python3 >/dev/null || die "set-up needs Python 3: please install python3."
    python3 "$root/scripts/lib/setup.py" "$(setup_fingerprint)" "$(cuda_wanted)" >&2
  fi
  # shellcheck source=/dev/null
  source "$root/.deps/environment.sh"
}

# As many compilers as there are cores, but 2 GiB of memory for each.
compile_jobs() {
  local cores gigabytes limit
  cores=$(nproc)
  gigabytes=$(awk '/MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
  if limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null) && [[ $limit =~ ^[0-9]{1,15}$ ]]; then
    ((limit >> 30 < gigabytes)) && gigabytes=$((limit >> 30))
  fi
  local jobs=$((gigabytes / 2 < cores ? gigabytes / 2 : cores))
  printf '%s\n' "${CMAKE_BUILD_PARALLEL_LEVEL:-$((jobs > 0 ? jobs : 1))}"
}

# build_is_current TARGET: no source is newer than the last build of TARGET. A folder counts as
# newer when a file was added to or removed from it.
build_is_current() {
  local stamp=$build/.built-$1 folders=() folder
  [[ -f $stamp && -f $build/build.ninja ]] || return 1
  [[ ! -f $build/.cmake-arguments ||
    $(<"$build/.cmake-arguments") == "${LOCKSTEP_CMAKE_ARGS:-}" ]] || return 1
  for folder in "$root"/*/; do
    case $folder in
      "$root/tests/" | "$root/bench/") ;;
      *) [[ ! -f ${folder}CMakeLists.txt ]] || folders+=("$folder") ;;
    esac
  done
  folders+=("$root/cmake")
  if [[ $1 == all ]]; then
    folders+=("$root/tests" "$root/bench")
  fi
  [[ -z $(find "${folders[@]}" "$root/CMakeLists.txt" "$root/.deps/environment.sh" \
    -newer "$stamp" -print -quit 2>&1) ]]
}

configure_if_needed() {
  local cache=$build/CMakeCache.txt home arguments=()
  local want=${LOCKSTEP_CMAKE_ARGS:-}
  read -r -a arguments <<<"$want"
  if [[ -f $cache ]]; then
    home=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$cache")
    if [[ $home != "$root" ]]; then
      say "  $build was made for $home: starting it anew"
      rm -rf -- "$cache" "$build/CMakeFiles"
    fi
  fi
  if [[ ! -f $build/build.ninja || ! -f $cache ||
    $want != "$(cat "$build/.cmake-arguments" 2>/dev/null)" ]]; then
    cmake -S "$root" -B "$build" -G Ninja "${arguments[@]}" >"$build/configure.log" 2>&1 ||
      { cat "$build/configure.log" >&2; die "cmake failed (above)."; }
    printf '%s\n' "$want" >"$build/.cmake-arguments"
  fi
}

# ensure_built TARGET NAME: builds TARGET if a source changed since its last build, one build at a
# time in this folder; says nothing when nothing is to be done.
ensure_built() {
  if build_is_current "$1"; then
    return
  fi
  mkdir -p "$build"
  local lock
  exec {lock}>"$build/.lock"
  if ! flock -n "$lock"; then
    # Ranks of one job come here together: the first builds and talks, the others wait without a
    # word.
    if [[ ${RANK:-${OMPI_COMM_WORLD_RANK:-0}} == 0 ]]; then
      say "Another build is running in $build; waiting for it."
    fi
    flock "$lock"
  fi
  if ! build_is_current "$1"; then
    local started=$SECONDS
    touch "$build/.building" # its time, from before the build, becomes the stamp's
    configure_if_needed
    # Quiet if ninja, which knows more than the stamp, finds nothing to do either.
    if ! ninja -C "$build" -n "$1" 2>&1 | grep -q 'no work to do'; then
      say "Building $2 in $build"
      NINJA_STATUS='[%f/%t %es] ' ninja -C "$build" -j "$(compile_jobs)" "$1" >&2 ||
        die "The build of $2 failed (above)."
      say "  $2 built ... $((SECONDS - started)) s"
    fi
    mv -- "$build/.building" "$build/.built-$1"
  fi
  exec {lock}>&-
}
