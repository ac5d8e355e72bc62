//go:build !unix

package cli

import (
	"errors"
	"os"
)

// lock refuses: serving needs a lock that ends with its process, which is only implemented on Unix.
func (d dataDir) lock() (*os.File, error) {
	return nil, errors.New("stile serve runs on Unix systems only; the client commands run here")
}
