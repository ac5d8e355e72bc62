package shadowsocks

import (
	"net"

	"stile/dataplane"
)

// Dial2022 and IdentityOfTests lend the client of the 2022 edition to the benchmarks, for which the Outline SDK has none.
func Dial2022(method string, key dataplane.Key, server, target string) (net.Conn, error) {
	return newClient2022(method, key).dial(server, namedTarget(target))
}

func IdentityOfTests(method string) []byte { return testIdentity(method) }
