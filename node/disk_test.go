package node

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"stile/feed"
	"stile/wire"
)

func testKey(id int64) wire.Key {
	return wire.Key{ID: id, Seed: wire.Seed{byte(id), byte(id >> 8), 3}, NotAfter: 1_790_000_000_000, MaxSessions: id % 7}
}

func testState(rev int64, ids ...int64) *feed.State {
	s := feed.NewState()
	s.Epoch, s.Rev = 2, rev
	for _, id := range ids {
		s.Keys[id] = testKey(id)
		s.Digest.Add(testKey(id).Sum())
	}
	return s
}

// follow saves a change and returns the state after it.
func follow(t *testing.T, d *disk, s *feed.State, delta *wire.Delta) {
	t.Helper()
	if err := d.save(feed.Persist{Epoch: s.Epoch, Delta: delta}, s); err != nil {
		t.Fatal(err)
	}
	if err := s.Follow(delta); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) (*disk, *feed.State) {
	t.Helper()
	d, s, damaged, err := openDisk(dir)
	if err != nil || damaged != nil {
		t.Fatal(err, damaged)
	}
	t.Cleanup(func() { d.close() })
	return d, s
}

func TestDiskGivesBackWhatItTook(t *testing.T) {
	dir := t.TempDir()
	d, s := open(t, dir)
	if !reflect.DeepEqual(s, feed.NewState()) {
		t.Errorf("at first: %+v", s)
	}
	s = testState(5, 1, 2, 3)
	s.Revoked[9] = 4
	if err := d.save(feed.Persist{Next: s}, feed.NewState()); err != nil {
		t.Fatal(err)
	}
	follow(t, d, s, &wire.Delta{FromRev: 5, ToRev: 6, Puts: []wire.Key{testKey(4)}})
	follow(t, d, s, &wire.Delta{FromRev: 6, ToRev: 9, Dels: []wire.Removal{{KeyID: 1, Reason: wire.ReasonRevoked}, {KeyID: 2, Reason: wire.ReasonQuarantined}}})
	d.close()
	d, got := open(t, dir)
	if !reflect.DeepEqual(got, s) {
		t.Errorf("got %+v, want %+v", got, s)
	}
	follow(t, d, s, &wire.Delta{FromRev: 9, ToRev: 10, Puts: []wire.Key{testKey(5)}})
	if _, got = open(t, dir); !reflect.DeepEqual(got, s) {
		t.Errorf("after another change: %+v, want %+v", got, s)
	}
	next := testState(3, 8)
	if err := d.save(feed.Persist{Next: next}, s); err != nil {
		t.Fatal(err)
	}
	if _, got = open(t, dir); !reflect.DeepEqual(got, next) {
		t.Errorf("after another set: %+v, want %+v", got, next)
	}
}

func TestDiskIgnoresALogOfAnotherBase(t *testing.T) {
	dir := t.TempDir()
	d, _ := open(t, dir)
	s := testState(5, 1)
	if err := d.writeBase(s); err != nil {
		t.Fatal(err)
	}
	follow(t, d, s, &wire.Delta{FromRev: 5, ToRev: 6, Puts: []wire.Key{testKey(2)}})
	log, err := os.ReadFile(filepath.Join(dir, logName))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.writeBase(testState(5, 7)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, logName), log, 0o600); err != nil { // as if the crash came before it was emptied
		t.Fatal(err)
	}
	d, got := open(t, dir)
	if want := testState(5, 7); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	follow(t, d, got, &wire.Delta{FromRev: 5, ToRev: 6})
	if _, again := open(t, dir); !reflect.DeepEqual(again, got) {
		t.Errorf("got %+v, want %+v", again, got)
	}
}

func TestDiskCutAtAnyByteHoldsAnEarlierState(t *testing.T) {
	dir := t.TempDir()
	d, _ := open(t, dir)
	s := testState(1, 1)
	if err := d.writeBase(s); err != nil {
		t.Fatal(err)
	}
	for rev := int64(1); rev < 6; rev++ {
		follow(t, d, s, &wire.Delta{FromRev: rev, ToRev: rev + 1, Puts: []wire.Key{testKey(rev + 1)}})
	}
	path := filepath.Join(dir, logName)
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := int64(0)
	for n := range len(log) + 1 {
		if err := os.WriteFile(path, log[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		d, got, damaged, err := openDisk(dir)
		if err != nil || damaged != nil || int64(len(got.Keys)) != got.Rev || got.Rev < last {
			t.Fatalf("cut at %d of %d: %+v, %v, %v", n, len(log), got, damaged, err)
		}
		last = got.Rev
		follow(t, d, got, &wire.Delta{FromRev: got.Rev, ToRev: 100})
		d.close()
		if d, again := open(t, dir); again.Rev != 100 {
			t.Fatalf("cut at %d and gone on: revision %d", n, again.Rev)
		} else {
			d.close()
		}
	}
	if last != 6 {
		t.Errorf("uncut it is at %d", last)
	}
}

func TestDiskAfterAFailedWrite(t *testing.T) {
	dir := t.TempDir()
	d, _ := open(t, dir)
	s := testState(5, 1)
	if err := d.writeBase(s); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left")
	d.sync = func(*os.File) error { return full }
	lost := &wire.Delta{FromRev: 5, ToRev: 6, Puts: []wire.Key{testKey(2)}}
	if err := d.save(feed.Persist{Delta: lost}, s); !errors.Is(err, full) {
		t.Errorf("a failed write: %v", err)
	}
	if err := d.save(feed.Persist{Next: testState(9, 4)}, s); !errors.Is(err, full) {
		t.Errorf("a failed set: %v", err)
	}
	d.sync = fsync
	follow(t, d, s, &wire.Delta{FromRev: 5, ToRev: 7, Puts: []wire.Key{testKey(3)}})
	if _, got := open(t, dir); !reflect.DeepEqual(got, s) {
		t.Errorf("got %+v, want %+v", got, s)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.new*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDiskFoldsALongLog(t *testing.T) {
	d, _ := open(t, t.TempDir())
	s := testState(1, 1)
	if err := d.writeBase(s); err != nil {
		t.Fatal(err)
	}
	d.sync = func(*os.File) error { return nil }
	for !d.isDue() {
		delta := &wire.Delta{FromRev: s.Rev, ToRev: s.Rev + 1000}
		for id := int64(1); id <= 1000; id++ {
			delta.Puts = append(delta.Puts, testKey(id))
		}
		follow(t, d, s, delta)
	}
	if err := d.writeBase(s); err != nil || d.isDue() {
		t.Error(err, d.isDue())
	}
	if _, got := open(t, d.dir); !reflect.DeepEqual(got, s) {
		t.Errorf("at revision %d with %d keys", got.Rev, len(got.Keys))
	}
}

func TestADamagedBaseIsPutAside(t *testing.T) {
	dir := t.TempDir()
	d, _ := open(t, dir)
	if err := d.writeBase(testState(5, 1)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, baseName)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	d, s, damaged, err := openDisk(dir)
	if err != nil || damaged == nil || len(s.Keys) != 0 {
		t.Fatalf("%+v, %v, %v", s, damaged, err)
	}
	d.close()
	if aside, err := os.ReadFile(path + ".damaged"); err != nil || !bytes.Equal(aside, content) {
		t.Errorf("put aside: %v", err)
	}
}

func TestOnlyTheOwnerReadsSeeds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "node")
	d, _ := open(t, dir)
	if err := d.writeBase(testState(5, 1)); err != nil {
		t.Fatal(err)
	}
	j, err := openJournal(filepath.Join(dir, "usage"))
	if err != nil {
		t.Fatal(err)
	}
	if err := j.append(&wire.Usage{Stream: 1, Seq: 1}); err != nil {
		t.Fatal(err)
	}
	defer j.close()
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func FuzzParseBase(f *testing.F) {
	s := testState(5, 1, 2)
	s.Revoked[3] = 4
	whole := formatBase([16]byte{1}, s)
	f.Add(whole[:len(whole)-32])
	f.Add([]byte(baseMagic))
	f.Fuzz(func(t *testing.T, content []byte) {
		sealed := seal(content) // else only the checksum would be tested
		state, err := new(disk).parseBase(sealed)
		if err != nil {
			return
		}
		again, err := new(disk).parseBase(formatBase([16]byte{2}, state))
		if err != nil || !reflect.DeepEqual(again, state) {
			t.Errorf("%+v came back as %+v, %v", state, again, err)
		}
	})
}

func FuzzCutRecord(f *testing.F) {
	f.Add(appendRecord(appendRecord(nil, []byte("one")), nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		body, rest, err := cutRecord(b)
		if err == nil && !bytes.Equal(appendRecord(nil, body), b[:len(b)-len(rest)]) {
			t.Errorf("%x became %x", b[:len(b)-len(rest)], appendRecord(nil, body))
		}
	})
}

// What a process left that was killed while it wrote is cleared away, the seeds in it too.
func TestDiskClearsAwayWhatWasLeft(t *testing.T) {
	dir := t.TempDir()
	d, _ := open(t, dir)
	if err := d.save(feed.Persist{Next: testState(5, 1)}, feed.NewState()); err != nil {
		t.Fatal(err)
	}
	_ = d.close()
	left := []string{baseName + unfinished + "17", configuredName + unfinished + "4", probeName + "3"}
	for _, name := range left {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half of"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, s := open(t, dir); s.Rev != 5 {
		t.Errorf("restored %+v", s)
	}
	for _, name := range left {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
}
