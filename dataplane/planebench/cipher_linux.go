package planebench

import (
	"crypto/aes"
	"crypto/cipher"
	"runtime"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sys/unix"
)

// ciphers are those whose own cost is measured beside the servers'.
var ciphers = []string{"aes-256-gcm", "chacha20"}

// cipherCost is what sealing alone takes, in CPU seconds per GB: with the relay's own cost about the least that a server
// in Go can take.
func cipherCost(b *testing.B, name string) float64 {
	aead, err := chacha20poly1305.New(make([]byte, 32))
	if name == "aes-256-gcm" {
		var block cipher.Block
		if block, err = aes.NewCipher(make([]byte, 32)); err == nil {
			aead, err = cipher.NewGCM(block)
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	plain, out, nonce := make([]byte, 16320), make([]byte, 16400), make([]byte, 12)
	const chunks = 20_000
	from := threadCPU()
	for range chunks {
		aead.Seal(out[:0], nonce, plain, nil)
	}
	return (threadCPU() - from) / (float64(chunks*len(plain)) / 1e9)
}

// threadCPU returns the CPU time of the calling thread in seconds.
func threadCPU() float64 {
	var usage unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
