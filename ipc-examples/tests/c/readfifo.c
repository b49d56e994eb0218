/* Reads up to 255 bytes from the FIFO of this directory, once, and prints them as a C string. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    char text[255];
    int in = open("FIFOPipe", O_RDONLY);
    if (in < 0) {
        perror("FIFOPipe");
        return 1;
    }
    ssize_t got = read(in, text, sizeof text);
    close(in);
    if (got <= 0)
        return 1;
    /* The writer sends the NUL; without it this reads past the text, as C programs do. */
    printf("Read from the FIFO Pipe: %s\n", text);
    return 0;
}
