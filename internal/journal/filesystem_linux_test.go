package journal

import "testing"

func TestMountType(t *testing.T) {
	const mountinfo = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
40 22 0:53 / /home/jo/far rw,nosuid,nodev shared:9 master:2 - fuse.sshfs jo@far: rw,user_id=0
41 22 0:54 / /home/jo/with\040space rw - fuse.gocryptfs /home/jo/.cipher rw
broken
42 22 0:300 /
`
	for dev, want := range map[uint64]string{
		254 << 8: "ext4", 53: "fuse.sshfs", 54: "fuse.gocryptfs", 55: "", 300&0xff | 300&^0xff<<12: "",
	} {
		if got := mountType([]byte(mountinfo), dev); got != want {
			t.Errorf("%#x: %q, want %q", dev, got, want)
		}
	}
}
