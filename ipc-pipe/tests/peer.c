/* The other end of a pipe in C, for tests/c_peer.rs. Descriptor 3 is read from, 4 is written to. */

#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads exactly n bytes; 0 at the end of the pipe. */
static int read_all(int fd, void *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t count = read(fd, (char *)to + done, n - done);
        if (count <= 0)
            return 0;
        done += count;
    }
    return 1;
}

static void write_all(int fd, const void *from, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t count = write(fd, (const char *)from + done, n - done);
        if (count < 0) {
            perror("write");
            exit(2);
        }
        done += count;
    }
}

/* Sends back every message in our frames: a length of four bytes, little-endian, then the message. */
static void echo_length(void)
{
    uint32_t head;
    while (read_all(3, &head, sizeof head)) {
        uint32_t length = le32toh(head);
        char *message = malloc(length + 1);
        if (!message || !read_all(3, message, length))
            exit(3);
        write_all(4, &head, sizeof head);
        write_all(4, message, length);
        free(message);
    }
}

/* Sends back every array of 50, as C programs do who write the whole of a `char text[50]`. */
static void echo_fixed(void)
{
    char text[50];
    while (read_all(3, text, sizeof text))
        write_all(4, text, sizeof text);
}

/* Sends back every line, by stdio. */
static void echo_lines(void)
{
    FILE *from = fdopen(3, "r"), *to = fdopen(4, "w");
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, from) > 0) {
        fputs(line, to);
        fflush(to);
    }
    free(line);
}

int main(int argc, char **argv)
{
    const char *framing = argc > 1 ? argv[1] : "";
    if (!strcmp(framing, "length"))
        echo_length();
    else if (!strcmp(framing, "fixed:50"))
        echo_fixed();
    else if (!strcmp(framing, "lines"))
        echo_lines();
    else
        return 1;
    return 0;
}
