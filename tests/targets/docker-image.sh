#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a container image of this machine's redis-server, without any registry: the binary,
# the shared libraries that ldd names, and nothing else. Usage: docker-image.sh [TAG]
set -eu
tag=${1:-kryonix-test/redis:7.0}
binary=$(command -v redis-server) || {
    echo "docker-image: no redis-server on PATH, so there is nothing to make an image of" >&2
    exit 1
}
binary=$(readlink -f "$binary")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT INT TERM
mkdir -p "$root/usr/local/bin" "$root/data" "$root/tmp" "$root/etc"
chmod 1777 "$root/tmp"
cp "$binary" "$root/usr/local/bin/redis-server"
echo 'root:x:0:0:root:/root:/sbin/nologin' > "$root/etc/passwd"
# Each library goes where the loader looked for it, links followed.
ldd "$binary" | awk '/=> \//{print $3} /^[[:space:]]*\//{print $1}' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
tar -C "$root" -c . | docker import \
    --change 'WORKDIR /data' --change 'EXPOSE 6379' --change 'CMD ["redis-server"]' \
    --change 'ENV PATH=/usr/local/bin' - "$tag" > /dev/null
echo "docker-image: $tag holds $(redis-server --version | cut -d" " -f1-3)"
