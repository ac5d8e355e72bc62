package extension_test

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The accessibility checker that others wrote. It is a package of npm's and used by this test alone; the digest is that
// of the registry's lock files.
const (
	axePackage   = "axe-core"
	axeVersion   = "4.14.1"
	axeIntegrity = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)

// checker is the source of axe.
type checker string

// loadAxe reads axe from the cache, or fetches it with npm once.
func loadAxe(t *testing.T) checker {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache = filepath.Join(cache, "stile-test")
	file := filepath.Join(cache, axePackage+"-"+axeVersion+".tgz")
	source, err := readAxe(file)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(cache, 0o755); err != nil {
			t.Fatal(err)
		}
		npm := program(t, "npm", "npm")
		if out, packErr := exec.CommandContext(t.Context(), npm, "pack", "--silent", "--pack-destination", cache, axePackage+"@"+axeVersion).CombinedOutput(); packErr != nil {
			t.Fatalf("npm pack %s: %v\n%s", axePackage, packErr, out)
		}
		source, err = readAxe(file)
	}
	if err != nil {
		t.Fatal(err)
	}
	return checker(source)
}

func readAxe(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	digest := sha512.New()
	packed, err := gzip.NewReader(io.TeeReader(f, digest))
	if err != nil {
		return nil, err
	}
	var source []byte
	for r := tar.NewReader(packed); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if header.Name == "package/axe.min.js" {
			if source, err = io.ReadAll(r); err != nil {
				return nil, err
			}
		}
	}
	if _, err := io.Copy(digest, f); err != nil { // what the reader left
		return nil, err
	}
	if got := base64.StdEncoding.EncodeToString(digest.Sum(nil)); got != axeIntegrity {
		return nil, errors.New(file + " has the digest " + got)
	}
	return source, nil
}

// faults are what axe finds wrong with a page.
func (c checker) faults(t *testing.T, p page) []string {
	t.Helper()
	if _, err := p.eval("(() => { " + string(c) + "\n })()"); err != nil {
		t.Fatal(err)
	}
	found := value[struct {
		Passed int
		Faults []string
	}](t, p, `axe.run().then(r => ({ Passed: r.passes.length, Faults: r.violations.map(v => v.id + ": " + v.nodes.map(n => n.target.join(" ") + " " + n.failureSummary).join("; ")) }))`)
	if found.Passed < 10 {
		t.Errorf("axe looked at %d rules only", found.Passed)
	}
	return found.Faults
}
