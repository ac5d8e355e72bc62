// Package api is the JSON API that apps, the browser extension and other programs meet: its routes, the edge that keeps
// the wire conventions of the documentation (headers, input, errors, languages), and the mapping between package wire
// and the use cases of package vpn.
//
// It decides nothing about accounts or keys: every rule is vpn's. It opens no port and reads no configuration: New gives
// an http.Handler, NewServer the bounds it should be served with. The handler must meet the raw path, so nothing that
// cleans or redirects paths (such as http.ServeMux) may stand before it.
package api
