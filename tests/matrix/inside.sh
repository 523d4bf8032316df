# Sourced by what runs in a system of tests/matrix/run: mounts what it needs, and
# tells apt how to behave. root, release and patience, in seconds, are set.

mount -t proc proc "$root/proc"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"

# Keep what apt fetches for the next run; a mirror that is a few days behind is
# good enough, one that does not answer is given up; no need to survive a
# power cut half-way.
rm -f "$root/etc/apt/apt.conf.d/docker-clean"
cat >"$root/etc/apt/apt.conf.d/90flameprof" <<'END'
Binary::apt-get::APT::Keep-Downloaded-Packages "true";
Acquire::Check-Valid-Until "false";
Acquire::Retries "2";
Acquire::http::Timeout "20";
END
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/90flameprof"

ends=$((SECONDS + patience))

inside() {
    local start=$SECONDS status=0
    echo "=== $release: $1"
    timeout --kill-after=10 $((ends > SECONDS ? ends - SECONDS : 1)) \
        chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 TERM=dumb FLAMEPROF_CROWD=120 \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        sh -c "cd /flameprof && $1" || status=$?
    echo "=== $release: exit code $status after $((SECONDS - start)) s"
    if [ $status = 124 ]; then
        echo "matrix: $release: not done in $patience s: $1"
    fi
    return $status
}
