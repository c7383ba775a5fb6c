#!/bin/sh
# Boots systemd as process 1 of namespaces of its own, in the network namespace of whoever calls:
#
#     boot_systemd.sh FOLDER SOURCES PACKAGES PYTHON
#
# It gets a root of its own: what it writes is over the machine's files (overlay), and gone with it; /run, /tmp and /dev are
# empty, /sys and /proc/sys cannot be written. Of units it knows those in FOLDER/units only, which is /mnt/units there.
# `/usr/local/bin/duravip` is the one of SOURCES, with the packages of VENV. FOLDER/pid1 is its process id, seen from here.
# Returns when it has ended.
set -eu
folder=$1 sources=$2 packages=$3 python=$4
group=duravip-test-$$

mount --make-rprivate /
mount -t tmpfs none /mnt
mkdir /mnt/upper /mnt/work /mnt/root /mnt/groups
mount -t cgroup2 none /mnt/groups
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work none /mnt/root
cd /mnt/root

mount -t tmpfs none run
mount -t tmpfs none tmp
mount -t tmpfs none dev
mkdir dev/shm
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
ln -s /proc/self/fd dev/fd
mount -t sysfs -o ro none sys
mount --bind "$folder" mnt
mkdir -p tree etc/duravip
mount -t tmpfs none tree
mkdir tree/sources tree/packages tree/python
mount --bind "$sources" tree/sources
mount --bind "$packages" tree/packages
mount --bind "$python" tree/python
ln -s /mnt/duravip.conf etc/duravip/duravip.conf
cat >usr/local/bin/duravip <<'END'
#!/bin/sh
export PYTHONPATH=/tree/sources:/tree/sources/plugins:/tree/packages LD_LIBRARY_PATH=/tree/python/lib
exec /tree/python/bin/python3 -P -c 'from duravip.cli.main import main; main()' "$@"
END
chmod 755 usr/local/bin/duravip

mkdir "/mnt/groups/$group"
(
    read -r here _ </proc/self/stat
    echo "$here" >"/mnt/groups/$group/cgroup.procs"
    exec unshare --mount --pid --fork --uts --ipc --cgroup sh -eu -c '
        read -r pid1 _ </proc/self/stat
        echo "$pid1" >mnt/pid1
        mount -t proc none proc
        mount --bind proc/sys/net proc/sys/net
        mount --bind proc/sys proc/sys
        mount -o remount,bind,ro proc/sys
        mount -t cgroup2 none sys/fs/cgroup
        exec env -i PATH="$PATH" container=duravip-test SYSTEMD_UNIT_PATH=/mnt/units \
            chroot . /usr/lib/systemd/systemd --system --unit=basic.target --log-target=null'
) || true
find "/mnt/groups/$group" -depth -type d -exec rmdir {} +
