package store

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// highWater is the file beside an SQLite database that says how far the database has come. It stays where it is when an
// earlier copy of the database is put back, and is ahead of it then. The writer's goroutine alone uses it.
type highWater struct {
	file  *os.File
	epoch int64 // as it was found
	mark  int64
}

// The file is two lines of 20 digits: the epoch, and the count of what was written. Each is written by itself: another
// process may write the other one.
const (
	waterLine = "%020d\n"
	waterSize = 21
)

// openHighWater reads the file, made if there is none.
func openHighWater(database string) (*highWater, error) {
	f, err := os.OpenFile(database+".high-water", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	h := &highWater{file: f}
	content, err := io.ReadAll(f)
	if err == nil && len(content) == 0 {
		_, err = fmt.Fprintf(f, waterLine+waterLine, 0, 0)
	} else if err == nil {
		_, err = fmt.Sscanf(string(content), "%d\n%d\n", &h.epoch, &h.mark)
	}
	if err == nil && (h.epoch < 0 || h.epoch > maxEpoch || h.mark < 0) {
		err = errors.New("out of range")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w (remove it, and run `stile restore`)", f.Name(), err), f.Close())
	}
	return h, nil
}

// note says how much is committed. It is not forced to disk: a file that is behind does no harm.
func (h *highWater) note(mark int64) error {
	_, err := fmt.Fprintf(io.NewOffsetWriter(h.file, waterSize), waterLine, mark)
	return err
}

// keep makes an epoch durable, before the database has it: no epoch ever stands for two histories.
func (h *highWater) keep(epoch int64) error {
	if _, err := fmt.Fprintf(io.NewOffsetWriter(h.file, 0), waterLine, epoch); err != nil {
		return err
	}
	return h.file.Sync()
}

// close may be called more than once.
func (h *highWater) close() error {
	if err := h.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
