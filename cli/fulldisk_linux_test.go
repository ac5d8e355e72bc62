package cli_test

import (
	"os/exec"
	"strings"
	"testing"
)

// On a disk without a free byte a command names the disk, and works again once there is room. It takes root, or user
// namespaces.
func TestAFullDiskIsNamed(t *testing.T) {
	const story = `
		mount -t tmpfs -o size=3m tmpfs "$STILE_DATA"
		"$0" plan add standard
		cat /dev/zero > "$STILE_DATA/filler" 2> "/dev/null"
		"$0" plan list && exit 1
		rm "$STILE_DATA/filler"
		exec "$0" plan list`
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", story, stileBinary)
	cmd.Env = (&machine{t: t, data: t.TempDir()}).env()
	out, err := cmd.CombinedOutput()
	_, after, found := strings.Cut(string(out), "disk is full, fails, or may not be written\n")
	if err != nil || !found || !strings.Contains(after, "standard") {
		t.Errorf("%v\n%s", err, out)
	}
}
