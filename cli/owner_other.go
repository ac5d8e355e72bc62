//go:build !unix

package cli

// handOver does nothing: the service runs on Unix systems only.
func (dataDir) handOver() error { return nil }
