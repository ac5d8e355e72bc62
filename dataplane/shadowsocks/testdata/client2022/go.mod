module stile/dataplane/shadowsocks/client2022

go 1.26.0

require (
	github.com/v2fly/v2ray-core/v5 v5.52.0
	google.golang.org/protobuf v1.36.11
)

require (
	github.com/adrg/xdg v0.5.3 // indirect
	github.com/golang/protobuf v1.5.4 // indirect
	github.com/klauspost/cpuid/v2 v2.2.5 // indirect
	github.com/miekg/dns v1.1.72 // indirect
	github.com/pion/transport/v2 v2.2.10 // indirect
	github.com/pires/go-proxyproto v0.12.0 // indirect
	github.com/quic-go/quic-go v0.59.1 // indirect
	github.com/v2fly/struc v0.0.0-20241227015403-8e8fa1badfd6 // indirect
	golang.org/x/crypto v0.53.0 // indirect
	golang.org/x/mod v0.36.0 // indirect
	golang.org/x/net v0.56.0 // indirect
	golang.org/x/sync v0.21.0 // indirect
	golang.org/x/sys v0.46.0 // indirect
	golang.org/x/text v0.38.0 // indirect
	golang.org/x/tools v0.45.0 // indirect
	lukechampine.com/blake3 v1.4.1 // indirect
)
