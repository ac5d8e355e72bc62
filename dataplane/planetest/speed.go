package planetest

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"stile/dataplane"
)

// measured are bytes that have arrived by now, by direction.
type measured struct{ up, down atomic.Int64 }

// speedIsWithinTenPercent holds what a plan promises: both directions at once move at the limit of their key, within 10 %, over
// seconds. The upper bound holds on any machine. The lower one needs time to run: a machine that could not do twice the limit
// without any is no judge of it, nor is one that gives the time to others now and then.
func speedIsWithinTenPercent(b *bench) {
	const rate, window = 4 << 20, 3200 * time.Millisecond // long enough for a burst and two buffers to be within 10 %
	var arrived measured
	both := b.serve("127.0.0.1", func(conn net.Conn) {
		greeting := make([]byte, 5)
		if _, err := io.ReadFull(conn, greeting); err != nil {
			return
		}
		if _, err := conn.Write(greeting); err != nil {
			return
		}
		exchange(conn, &arrived.up)
	})
	key := b.key()
	key.Limits = dataplane.Limits{UpBytesPerSecond: rate, DownBytesPerSecond: rate}
	b.put(key)
	conn := b.open(key, both.addr())
	_ = conn.SetDeadline(time.Now().Add(20 * window))
	var client sync.WaitGroup
	client.Go(func() { exchange(conn, &arrived.down) })
	defer client.Wait()
	defer func() { _ = conn.Close() }()

	time.Sleep(window / 6) // the burst is spent
	var up, down float64
	isCalm := true
	for range 3 {
		paused := pauses()
		from := time.Now() // before what it measures: then a pause in between makes no speed too high
		usage := b.usage(key)
		upBefore, downBefore := arrived.up.Load(), arrived.down.Load()
		time.Sleep(window)
		up, down = float64(arrived.up.Load()-upBefore), float64(arrived.down.Load()-downBefore)
		after, took := b.usage(key), time.Since(from).Seconds()
		up, down = up/took, down/took
		// What the plane took: what arrives may have waited in the sockets of the machine.
		for direction, took := range map[string]float64{"up": float64(after.Up-usage.Up) / took, "down": float64(after.Down-usage.Down) / took} {
			if took > 1.1*rate {
				b.Errorf("%s: %.0f bytes/s under a limit of %d", direction, took, rate)
			}
		}
		isCalm = paused() < window/20 && isCalm
		if up >= 0.9*rate && down >= 0.9*rate {
			return
		}
	}
	if !isCalm {
		b.Logf("%.0f bytes/s up and %.0f down under limits of %d, on a machine that is busy with others", up, down, rate)
		return
	}
	key.Limits = dataplane.Limits{}
	b.put(key)
	from, before := time.Now(), arrived.up.Load()+arrived.down.Load()
	time.Sleep(window / 3)
	if free := float64(arrived.up.Load()+arrived.down.Load()-before) / time.Since(from).Seconds(); free == 0 || free > 4*rate {
		b.Errorf("%.0f bytes/s up and %.0f down under limits of %d, on a machine that moves %.0f without", up, down, rate, free)
	}
}

// pauses adds up by how much this process is woken too late, until it is asked for the sum.
func pauses() (sum func() time.Duration) {
	const nap = time.Millisecond
	ended, answer := make(chan struct{}), make(chan time.Duration)
	go func() {
		var late time.Duration
		for {
			from := time.Now()
			select {
			case <-ended:
				answer <- late
				return
			case <-time.After(nap):
			}
			if by := time.Since(from) - nap; by > nap {
				late += by
			}
		}
	}()
	return func() time.Duration { close(ended); return <-answer }
}

// exchange sends and receives until the connection breaks, and counts what is received.
func exchange(conn net.Conn, received *atomic.Int64) {
	var sending sync.WaitGroup
	sending.Go(func() {
		var err error
		for block := make([]byte, 16<<10); err == nil; {
			_, err = conn.Write(block)
		}
	})
	block := make([]byte, 32<<10)
	for {
		n, err := conn.Read(block)
		received.Add(int64(n))
		if err != nil {
			break
		}
	}
	_ = conn.Close()
	sending.Wait()
}
