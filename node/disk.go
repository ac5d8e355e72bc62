package node

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"stile/feed"
	"stile/wire"
)

// The set of keys is two files: keys.base, a whole state, replaced atomically, and keys.log, the changes since, appended
// to. The log's first record names the base that it follows; one that follows another base counts as empty.
const (
	baseName  = "keys.base"
	logName   = "keys.log"
	baseMagic = "stile node keys 1\n"
)

// minLog is the size in bytes below which a log is never folded into its base.
const minLog = 256 << 10

// disk keeps the set of keys of a node.
type disk struct {
	dir      string
	sync     func(*os.File) error // os.File.Sync, unless a test wants a full disk
	base     [16]byte             // names the base
	baseSize int64
	log      *os.File
	logSize  int64 // up to here the log is whole
	// isUnsure: a write failed half-way, so the files may say something else than was acknowledged. The next change is
	// preceded by a new base.
	isUnsure bool
}

// openDisk reads the state. damaged tells that there was one but it cannot be read: the node starts without keys, and
// the unreadable base is kept beside under another name.
func openDisk(dir string) (d *disk, s *feed.State, damaged error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, nil, fmt.Errorf("node: state directory: %w", err)
	}
	d = &disk{dir: dir, sync: fsync}
	if err := d.clearAway(); err != nil {
		return nil, nil, nil, fmt.Errorf("node: clear state directory: %w", err)
	}
	s = feed.NewState()
	content, err := os.ReadFile(d.path(baseName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, nil, nil, fmt.Errorf("node: read state: %w", err)
	default:
		if s, damaged = d.parseBase(content); damaged != nil {
			s = feed.NewState()
			if err := os.Rename(d.path(baseName), d.path(baseName+".damaged")); err != nil {
				return nil, nil, nil, fmt.Errorf("node: put damaged state aside: %w", err)
			}
		}
	}
	d.log, err = os.OpenFile(d.path(logName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("node: open log of changes: %w", err)
	}
	log, err := io.ReadAll(d.log)
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("node: read log of changes: %w", err), d.log.Close())
	}
	d.replay(s, log)
	return d, s, damaged, nil
}

func (d *disk) path(name string) string { return filepath.Join(d.dir, name) }

func (d *disk) close() error { return d.log.Close() }

// clearAway removes what is left of files that a process was writing when it was killed.
func (d *disk) clearAway() error {
	for _, pattern := range []string{"*" + unfinished + "*", probeName + "*"} {
		left, err := filepath.Glob(d.path(pattern))
		if err != nil {
			return err
		}
		for _, path := range left {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// replay applies the changes of the log as far as it is whole.
func (d *disk) replay(s *feed.State, log []byte) {
	body, rest, err := cutRecord(log)
	if err != nil || !bytes.Equal(body, d.base[:]) {
		return // the first change begins it anew
	}
	for {
		d.logSize = int64(len(log) - len(rest))
		delta, next := cutChange(rest)
		if delta == nil || s.Follow(delta) != nil {
			return // the control plane fills in what is missing
		}
		rest = next
	}
}

// cutChange returns the first change of a log and what follows it, or nil.
func cutChange(log []byte) (delta *wire.Delta, rest []byte) {
	body, rest, err := cutRecord(log)
	if err != nil {
		return nil, nil
	}
	if f, err := wire.Decode(body); err == nil {
		delta, _ = f.(*wire.Delta)
	}
	return delta, rest
}

// save makes a change of the present state durable.
func (d *disk) save(p feed.Persist, present *feed.State) error {
	if p.Next != nil {
		return d.writeBase(p.Next)
	}
	if d.isUnsure {
		if err := d.writeBase(present); err != nil {
			return err
		}
	}
	return d.appendChange(p.Delta)
}

func (d *disk) appendChange(delta *wire.Delta) error {
	var record []byte
	if d.logSize == 0 {
		record = appendRecord(record, d.base[:])
	}
	record = appendRecord(record, wire.Encode(delta))
	_, err := d.log.WriteAt(record, d.logSize)
	if err == nil {
		err = d.sync(d.log)
	}
	if err != nil {
		d.isUnsure = true
		return fmt.Errorf("node: append change: %w", err)
	}
	d.logSize += int64(len(record))
	return nil
}

// isDue reports whether the log has grown beyond its base.
func (d *disk) isDue() bool { return d.logSize > max(minLog, d.baseSize) }

func (d *disk) writeBase(s *feed.State) error {
	var name [16]byte
	_, _ = rand.Read(name[:]) // never fails
	content := formatBase(name, s)
	d.isUnsure = true
	if err := writeWhole(d.path(baseName), content, d.sync); err != nil {
		return fmt.Errorf("node: write state: %w", err)
	}
	d.base, d.baseSize, d.logSize = name, int64(len(content)), 0
	d.isUnsure = d.log.Truncate(0) != nil
	return nil
}

// formatBase writes a state down: magic, name of the base, epoch, revision, floor, revoked ids with their revisions,
// number of keys, all as 8 bytes big-endian; then records of SnapshotChunks; then SHA-256 of all that.
func formatBase(name [16]byte, s *feed.State) []byte {
	b := append([]byte(baseMagic), name[:]...)
	for _, v := range []int64{s.Epoch, s.Rev, s.Floor, int64(len(s.Revoked))} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	for id, rev := range s.Revoked {
		b = binary.BigEndian.AppendUint64(b, uint64(id))
		b = binary.BigEndian.AppendUint64(b, uint64(rev))
	}
	b = binary.BigEndian.AppendUint64(b, uint64(len(s.Keys)))
	keys := make([]wire.Key, 0, len(s.Keys))
	for _, k := range s.Keys {
		keys = append(keys, k)
	}
	for part := range slices.Chunk(keys, wire.MaxItems) {
		b = appendRecord(b, wire.Encode(&wire.SnapshotChunk{Puts: part}))
	}
	return seal(b)
}

func seal(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

var errBase = errors.New("node: state file is damaged")

func (d *disk) parseBase(content []byte) (*feed.State, error) {
	n := len(content) - sha256.Size
	if n < len(baseMagic)+16+5*8 || string(content[:len(baseMagic)]) != baseMagic ||
		sha256.Sum256(content[:max(n, 0)]) != [sha256.Size]byte(content[n:]) {
		return nil, errBase
	}
	d.baseSize = int64(len(content))
	b := content[len(baseMagic):n]
	d.base, b = [16]byte(b[:16]), b[16:]
	number := func() int64 {
		if len(b) < 8 {
			return -1
		}
		v := int64(binary.BigEndian.Uint64(b))
		b = b[8:]
		return v
	}
	s := feed.NewState()
	s.Epoch, s.Rev, s.Floor = number(), number(), number()
	revoked := number()
	if revoked < 0 || revoked > int64(len(b)/16) {
		return nil, errBase
	}
	for range revoked {
		id, rev := number(), number()
		s.Revoked[id] = rev
	}
	count := number()
	for len(b) > 0 {
		body, rest, err := cutRecord(b)
		if err != nil {
			return nil, err
		}
		f, err := wire.Decode(body)
		chunk, ok := f.(*wire.SnapshotChunk)
		if err != nil || !ok {
			return nil, errors.Join(errBase, err)
		}
		for _, k := range chunk.Puts {
			s.Keys[k.ID] = k
			s.Digest.Add(k.Sum())
		}
		b = rest
	}
	if int64(len(s.Keys)) != count {
		return nil, errBase
	}
	return s, nil
}
