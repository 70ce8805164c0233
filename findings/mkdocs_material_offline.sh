#!/usr/bin/env bash
# mkdocs-material 9.8.2 (mkdocs 1.6.1): every page of a site built with its plugin `offline` loads a script from unpkg.com.
#
# Expected: the plugin is there so that a site "can be directly viewed by the user - no server needed" from a .zip file.
#   With fonts switched off and no diagram in it, its pages name no other host.
# What happens: every page gets <script src="https://unpkg.com/iframe-worker/shim">, before the theme's own scripts: a
#   stand-in for web workers, which browsers refuse to pages read from a disk, so that search works there. Without a
#   network it is missing, and search with it. With a network every page that is read tells unpkg.com, and runs whatever
#   the newest release of that package holds: the address names no version, and there is no integrity hash.
# Documented: the page of the plugin names the shim, not from where it comes; the theme's discussion 6605 says to add
#   the plugin `privacy`, which downloads it while the site is built.
# Why it matters: documentation goes into control rooms and test benches that have no network, or a rule against foreign
#   scripts. The cure: `privacy` beside `offline`, or a copy of the shim named by extra.polyfills.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -qq --disable-pip-version-check mkdocs-material==9.8.2 mkdocs==1.6.1
"$dir/venv/bin/pip" list --format=freeze --disable-pip-version-check | grep -E '^(mkdocs|mkdocs-material)='
mkdir "$dir/docs"
echo "# Title" > "$dir/docs/index.md"
build() {
    printf 'site_name: manual\nuse_directory_urls: false\ntheme:\n  name: material\n  font: false\nplugins: [%s]\n' "$1" \
        > "$dir/mkdocs.yml"
    (cd "$dir" && venv/bin/mkdocs build -q 2> /dev/null)
    grep -oE '<script src="?https?://[^>]*>' "$dir/site/index.html" || true
}
without=$(build "search")
with=$(build "search, offline")
printf 'scripts from other hosts\n  without the plugin: %s\n  with it:            %s\n' "${without:-none}" "${with:-none}"
test -z "$without"
test "$with" = '<script src="https://unpkg.com/iframe-worker/shim">'
echo "as described"
