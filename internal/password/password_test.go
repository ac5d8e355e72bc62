package password

import (
	"context"
	"errors"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/argon2"
)

func TestHashVerifies(t *testing.T) {
	h := New(Options{})
	hash, err := h.Hash(t.Context(), "password123")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash %q is not of the current cost", hash)
	}
	expect(t, h, hash, "password123", true, false)
	expect(t, h, hash, "password124", false, false)
	expect(t, h, hash, "", false, false)

	again, err := h.Hash(t.Context(), "password123")
	if err != nil {
		t.Fatal(err)
	}
	if again == hash {
		t.Error("two hashes of one password are equal: the salt is not random")
	}
}

// TestVerifyKnown checks hashes that other software made.
func TestVerifyKnown(t *testing.T) {
	h := New(Options{})
	for _, c := range []struct{ name, hash, password string }{
		{"argon2id, reference implementation", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
		{"bcrypt, Laravel's user factory", "$2y$10$92IXUNpkjO0rOQ5byMi.Ye4oKoEa3Ro9llC/.og/at2.uheWG/igi", "password"},
		{"bcrypt, crypt_blowfish", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
		{"the same with the later mark", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, h, c.hash, c.password, true, true) })
	}
	expect(t, h, "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U*", false, false)
}

func TestVerifyMissingHash(t *testing.T) {
	h := New(Options{})
	expect(t, h, "", "password123", false, false)
	expect(t, h, "", "", false, false)
}

// TestVerifyMissingHashDoesTheWork holds the equal work by its memory, which doesn't depend on how busy the machine is.
func TestVerifyMissingHashDoesTheWork(t *testing.T) {
	var before, after runtime.MemStats
	h := New(Options{})
	runtime.ReadMemStats(&before)
	expect(t, h, "", "password123", false, false)
	runtime.ReadMemStats(&after)
	if got, want := after.TotalAlloc-before.TotalAlloc, uint64(current.memoryKiB)*1024; got < want {
		t.Errorf("checking against no hash took %d bytes of memory, a real hash takes at least %d", got, want)
	}
}

func TestVerifyRefusesOtherFormats(t *testing.T) {
	h := New(Options{})
	for name, hash := range badHashes() {
		t.Run(name, func(t *testing.T) {
			if ok, rehash, err := h.Verify(t.Context(), hash, "password"); ok || rehash || !errors.Is(err, ErrFormat) {
				t.Errorf("Verify(%q) = %t, %t, %v; want ErrFormat", hash, ok, rehash, err)
			}
		})
	}
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{Parallel: 2, Waiting: 3})
		for range 2 {
			if err := h.take(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, 3)
		for range 3 {
			go func() {
				_, err := h.Hash(ctx, "password123")
				results <- err
			}()
		}
		synctest.Wait()

		if _, err := h.Hash(ctx, "password123"); !errors.Is(err, ErrBusy) {
			t.Errorf("Hash with a full queue: %v, want ErrBusy", err)
		}
		for _, hash := range []string{"", "$2y$10$92IXUNpkjO0rOQ5byMi.Ye4oKoEa3Ro9llC/.og/at2.uheWG/igi"} {
			if _, _, err := h.Verify(ctx, hash, "password123"); !errors.Is(err, ErrBusy) {
				t.Errorf("Verify(%q) with a full queue: %v, want ErrBusy", hash, err)
			}
		}

		h.release() // one of the three gets its turn
		if err := <-results; err != nil {
			t.Errorf("a waiting caller, after a turn came free: %v", err)
		}
		// That caller has given its turn to the next one; with two gone there is room to wait again.
		if err := <-results; err != nil {
			t.Errorf("the next waiting caller: %v", err)
		}
		if err := <-results; err != nil {
			t.Errorf("the last waiting caller: %v", err)
		}

		h.release()
		if err := h.take(ctx); err != nil {
			t.Fatal(err)
		}
		if err := h.take(ctx); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := h.Hash(ctx, "password123")
			results <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("a waiting caller whose context ended: %v, want context.Canceled", err)
		}
		if n := h.waiting.Load(); n != 0 {
			t.Errorf("%d callers are counted as waiting when none is", n)
		}
	})
}

func TestNoQueue(t *testing.T) {
	h := New(Options{Parallel: 1, Waiting: -1})
	if err := h.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.take(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("second caller: %v, want ErrBusy", err)
	}
	h.release()
	expect(t, h, "", "password123", false, false)
}

// TestMemoryIsBounded runs more callers at once than would fit: without the bound they would take 24 x 19 MiB.
func TestMemoryIsBounded(t *testing.T) {
	const callers, limit = 24, 160 << 20
	h := New(Options{Parallel: 1, Waiting: callers})
	before := memoryTotal()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() { expect(t, h, "", "password123", false, false) })
	}
	ended := make(chan struct{})
	go func() {
		wg.Wait()
		close(ended)
	}()
	peak := before
	for running := true; running; {
		select {
		case <-ended:
			running = false
		case <-time.After(time.Millisecond):
		}
		peak = max(peak, memoryTotal())
	}
	if grown := peak - before; grown > limit {
		t.Errorf("%d sign-ins at once took %d MiB of memory, want at most %d", callers, grown>>20, limit>>20)
	}
}

// BenchmarkBare is the ceiling: argon2id at the current cost and nothing around it, on one core.
func BenchmarkBare(b *testing.B) {
	salt := make([]byte, saltLen)
	for b.Loop() {
		argon2.IDKey([]byte("password123"), salt, current.passes, current.memoryKiB, current.lanes, sumLen)
	}
}

// BenchmarkVerify is the same work through the Hasher, with other callers waiting.
func BenchmarkVerify(b *testing.B) {
	h := New(Options{Parallel: 1})
	hash, err := h.Hash(b.Context(), "password123")
	if err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			expect(b, h, hash, "password123", true, false)
		}
	})
}

// memoryTotal is what the Go runtime has mapped and not given back to the system, in bytes.
func memoryTotal() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}

func expect(t testing.TB, h *Hasher, hash, password string, wantOK, wantRehash bool) {
	t.Helper()
	ok, rehash, err := h.Verify(t.Context(), hash, password)
	if err != nil {
		t.Errorf("Verify(%q, %q): %v", hash, password, err)
	}
	if ok != wantOK || rehash != wantRehash {
		t.Errorf("Verify(%q, %q) = %t, rehash %t; want %t, rehash %t", hash, password, ok, rehash, wantOK, wantRehash)
	}
}
