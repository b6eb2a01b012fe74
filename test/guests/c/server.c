/* A TCP echo server in C: WasmEdge's socket extensions for open, bind and listen, WASI preview 1 for the rest. */
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#define IMPORT(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

struct address {
    const uint8_t *bytes;
    size_t length;
};

IMPORT(sock_open) uint32_t sock_open(uint32_t family, uint32_t kind, int32_t *fd);
IMPORT(sock_bind) uint32_t sock_bind(int32_t fd, struct address *address, uint32_t port);
IMPORT(sock_listen) uint32_t sock_listen(int32_t fd, uint32_t backlog);
IMPORT(sock_accept) uint32_t sock_accept_plain(int32_t fd, int32_t *connection);

enum { IPV4 = 1, STREAM = 2, PORT = 9000 };

int main(void) {
    static const uint8_t any[4];
    struct address address = {any, sizeof any};
    int32_t listener, connection;
    if (sock_open(IPV4, STREAM, &listener) || sock_bind(listener, &address, PORT) || sock_listen(listener, 16)) {
        fputs("cannot listen\n", stderr);
        return 1;
    }
    puts("listening on 0.0.0.0:9000");
    fflush(stdout);
    while (sock_accept_plain(listener, &connection) == 0) {
        char bytes[4096];
        ssize_t length;
        while ((length = read(connection, bytes, sizeof bytes)) > 0)
            if (write(connection, bytes, (size_t)length) != length)
                break;
        close(connection);
    }
    return 1;
}
