package node

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkKeyReachesThePlanes is the way of one change from the commit to the acknowledgement of the node, its disk
// included, by the number of callers that wait at a time and of keys that the node has.
func BenchmarkKeyReachesThePlanes(b *testing.B) {
	for _, held := range []int64{0, 20_000} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("keys=%d/callers=%d", held, callers), func(b *testing.B) {
				s := newSetup(b)
				for id := int64(1); id <= held; id++ {
					s.store.put(id, time.Time{})
				}
				p := s.start()
				defer p.stop()
				s.online()
				if held > 0 {
					s.apply2(held)
				}
				var next atomic.Int64
				next.Store(held)
				b.SetParallelism(callers)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						r := s.store.put(next.Add(1), time.Time{})
						s.hub.Wake(r)
						if !s.hub.WaitApplied(context.Background(), nodeID, r.Rev) {
							b.Error("not applied")
							return
						}
					}
				})
			})
		}
	}
}
