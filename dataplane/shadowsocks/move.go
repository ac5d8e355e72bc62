package shadowsocks

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Range is consecutive ports, TCP and UDP. A key uses accesskey.Port of them.
type Range struct{ First, Count int }

func (r Range) holds(number int) bool { return number >= r.First && number < r.First+r.Count }

// ranged finds keys that name nothing, by the ranges that are served. A port is known to it by its slot.
type ranged interface {
	addRange(slots []int)
	dropRange(i int)
}

// Moving is a plane of either edition as it goes from ports to ports. Its methods are for one goroutine.
type Moving interface {
	// Open opens a range beside what is served, all of it or nothing: it fails if a port of it is busy. Ports that another
	// plane, if it is not nil, has open are taken over from it when they are served.
	Open(ctx context.Context, r Range, other Moving) (*Opened, error)
	// Serve serves an opened range too. Sessions go on, and so do the ranges that are served already.
	Serve(o *Opened)
	// Leave closes the ports of a range that no other one has. TCP sessions that came by them go on; UDP associations end.
	Leave(r Range)
	shared() *server
}

// Opened is a range whose ports are open, those among them that were not before without serving anything yet.
type Opened struct {
	of    Range
	fresh []port
	from  *server // has the others; nil = they are the plane's own
}

// Close closes again what was opened. It is for ranges that were not served.
func (o *Opened) Close() {
	for _, one := range o.fresh {
		one.close()
	}
	o.fresh = nil
}

func (p *server) shared() *server { return p }

// Open implements Moving.
func (p *server) Open(ctx context.Context, r Range, other Moving) (*Opened, error) {
	if r.First < 1 || r.Count < 1 || r.Count > maxPorts || r.First > 1<<16-r.Count {
		return nil, fmt.Errorf("shadowsocks: %d ports from %d on is not a range", r.Count, r.First)
	}
	o := &Opened{of: r}
	if other != nil {
		o.from = other.shared()
	}
	for number := r.First; number < r.First+r.Count; number++ {
		if p.slotOf(number) >= 0 || o.from != nil && o.from.slotOf(number) >= 0 {
			continue
		}
		one, err := listenOne(ctx, p.host, number)
		if err != nil {
			o.Close()
			return nil, err
		}
		o.fresh = append(o.fresh, one)
	}
	return o, nil
}

// slotOf is the slot of an open port, or -1.
func (p *server) slotOf(number int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.ports {
		if one.number() == number {
			return one.slot
		}
	}
	return -1
}

// Serve implements Moving.
func (p *server) Serve(o *Opened) {
	if o.from != nil {
		o.fresh = append(o.fresh, o.from.handOver(o.of)...)
	}
	p.forget(o.of)
	for i := range o.fresh {
		o.fresh[i].slot = p.slots + i
	}
	p.slots += len(o.fresh)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isClosed {
		o.Close()
		return
	}
	p.ports = append(p.ports, o.fresh...)
	slots := make([]int, o.of.Count)
	for _, one := range p.ports {
		if number := one.number(); o.of.holds(number) {
			slots[number-o.of.First] = one.slot
		}
	}
	if p.ranged != nil {
		p.ranged.addRange(slots)
	}
	p.ranges = append(p.ranges, o.of)
	if p.isRunning {
		p.serve(o.fresh)
	}
}

// handOver gives up the open ports of a range to another plane. What came by them goes on.
func (p *server) handOver(r Range) []port {
	given := p.takeOut(r)
	now := time.Now()
	for _, one := range given {
		_ = one.tcp.SetDeadline(now)
		_ = one.udp.SetReadDeadline(now)
	}
	for i := range given {
		given[i].loops.Wait()
		_ = given[i].tcp.SetDeadline(time.Time{})
		_ = given[i].udp.SetReadDeadline(time.Time{})
	}
	return given
}

// takeOut takes the open ports of a range out of the plane, so that its Close leaves them open.
func (p *server) takeOut(r Range) (taken []port) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isClosed {
		return nil
	}
	p.ports = slices.DeleteFunc(p.ports, func(one port) bool {
		isTaken := r.holds(one.number())
		if isTaken {
			taken = append(taken, one)
		}
		return isTaken
	})
	return taken
}

// forget takes a range out, if it is served, and leaves its ports open.
func (p *server) forget(r Range) {
	i := slices.Index(p.ranges, r)
	if i < 0 {
		return
	}
	if p.ranged != nil {
		p.ranged.dropRange(i)
	}
	p.ranges = slices.Delete(p.ranges, i, i+1)
}

// Leave implements Moving.
func (p *server) Leave(r Range) {
	p.forget(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isClosed {
		return
	}
	p.ports = slices.DeleteFunc(p.ports, func(one port) bool {
		isHeld := slices.ContainsFunc(p.ranges, func(r Range) bool { return r.holds(one.number()) })
		if !isHeld {
			one.close()
		}
		return !isHeld
	})
}

var (
	_ Moving = (*Plane)(nil)
	_ Moving = (*Plane2022)(nil)
)
