/* Writes one line into the FIFO of this directory as a record of 255 bytes: the text, a NUL, and whatever
 * the buffer held before, which is what a program with a plain char array sends. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
    char record[255];
    memset(record, '#', sizeof record);
    mkfifo("FIFOPipe", 0666); /* it may be there already */
    int out = open("FIFOPipe", O_WRONLY);
    if (out < 0) {
        perror("FIFOPipe");
        return 1;
    }
    fputs("Enter text: ", stdout);
    fflush(stdout);
    if (!fgets(record, sizeof record, stdin))
        return 1;
    record[strcspn(record, "\n")] = '\0';
    ssize_t sent = write(out, record, sizeof record);
    close(out);
    return sent == (ssize_t)sizeof record ? 0 : 1;
}
