package shadowsocks

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"stile/dataplane"
)

// BenchmarkFind is the cost of finding a key from a connection's first 50 bytes.
func BenchmarkFind(b *testing.B) {
	for _, n := range []int{1, 1_000, 100_000} {
		keys := make([]dataplane.Key, n)
		for i := range keys {
			keys[i] = testKey(int64(i + 1))
		}
		f := &finder{
			ring: newKeyring(1), sources: newSources(time.Now), trials: newTrials(time.Now), replays: newReplayFilter(tcpSalts), salts: newSaltMaker(),
			plausible: isLengthStart,
		}
		f.ring.apply(keys, nil, true)
		const samples = 64
		var tagged, probes [samples][]byte
		for i := range samples {
			id := int64(i*7919%n + 1)
			tagged[i] = clientStream(id, aes256GCM, randomSalt(testSecret(id).Prefix), []byte("x"))
			probes[i] = clientStream(int64(n+1), aes256GCM, randomSalt(""), []byte("x"))
		}
		run := func(kind string, messages *[samples][]byte) {
			b.Run(fmt.Sprintf("%s/keys=%d", kind, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					m := messages[i%samples]
					t := trial{
						kdf: newKDF(m[:saltSize]), salt: m[:saltSize], sealed: m[saltSize:][:lengthSize], plausible: isLengthStart,
					}
					if kind == "tagged" {
						if _, ok := f.named(&t, dataplane.Origin(i)); !ok {
							b.Fatal("a tagged key is not found")
						}
						continue
					}
					f.trials.total = allowance{} // what one probe costs as long as it may cost anything
					if _, ok := f.searched(&t, dataplane.Origin(i), 0); ok {
						b.Fatal("a probe was found")
					}
				}
			})
		}
		run("tagged", &tagged)
		run("probe", &probes)
	}
}

func BenchmarkReplayFilter(b *testing.B) {
	f := newReplayFilter(tcpSalts)
	salt := randomSalt("")
	for i := 0; b.Loop(); i++ {
		salt[0], salt[1], salt[2], salt[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
		f.add(salt)
	}
}

// BenchmarkPacket is the cost of opening a client's packet and sealing a reply of 1,200 bytes.
func BenchmarkPacket(b *testing.B) {
	c := &credential{master: masterKey(testSecret(1).Password)}
	for _, m := range []method{aes256GCM, chacha20Poly1305} {
		a := &packets2018{credential: c, method: m, salts: newSaltMaker()}
		reply := make([]byte, dataplane.BufferSize)
		dst := make([]byte, 0, 2048)
		from := netip.MustParseAddrPort("192.0.2.1:443")
		b.Run([...]string{"aes-256-gcm", "chacha20"}[m], func(b *testing.B) {
			b.ReportAllocs()
			packet := clientPacket(1, m, randomSalt(""), make([]byte, 1200))
			for b.Loop() {
				var subkey [keySize]byte
				newKDF(packet[:saltSize]).derive(&c.master, &subkey)
				if _, err := m.newAEAD(&subkey).Open(dst, zeroNonce[:], packet[saltSize:], nil); err != nil {
					b.Fatal(err)
				}
				a.seal(reply, 1200, from)
			}
		})
	}
}
