package node

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"

	"stile/wire"
)

// A record of a file that is appended to: length and CRC-32C of the body, 4 bytes big-endian each, then the body. What
// follows the first record that is not whole was never acknowledged to anybody.
const recordHead = 8

// maxRecord bounds a body: a frame with a few numbers before it.
const maxRecord = wire.MaxFrame + 64

var errRecord = errors.New("node: record is not whole")

func appendRecord(b, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return append(b, body...)
}

// cutRecord returns the body of the first record of b and what follows it.
func cutRecord(b []byte) (body, rest []byte, err error) {
	if len(b) < recordHead {
		return nil, nil, errRecord
	}
	n := binary.BigEndian.Uint32(b)
	if n > maxRecord || int(n) > len(b)-recordHead {
		return nil, nil, errRecord
	}
	body, rest = b[recordHead:recordHead+n], b[recordHead+n:]
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(b[4:]) {
		return nil, nil, errRecord
	}
	return body, rest, nil
}

// fsync makes a file's content, or a directory's entries, durable.
func fsync(f *os.File) error { return f.Sync() }

func syncDir(dir string, sync func(*os.File) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return sync(d)
}

// unfinished is in the names of files that are being written, behind the names that they will have.
const unfinished = ".new-"

// writeWhole puts a file in place of another, durably: either all of it is there afterwards or the old one.
func writeWhole(path string, content []byte, sync func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+unfinished+"*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = sync(f)
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path), sync)
}
