/* Writes a line as a C string into the segment of the file sharedmem and the id 'a', of 1,024 bytes. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

int main(void)
{
    close(open("sharedmem", O_WRONLY | O_CREAT, 0666));
    int segment = shmget(ftok("sharedmem", 'a'), 1024, 0666 | IPC_CREAT);
    char *text = segment < 0 ? (char *)-1 : shmat(segment, NULL, 0);
    if (text == (char *)-1) {
        perror("shared memory");
        return 1;
    }
    fputs("Enter the string to be written in memory : ", stdout);
    fflush(stdout);
    if (!fgets(text, 1024, stdin))
        return 1;
    text[strcspn(text, "\n")] = '\0';
    printf("String written in memory: %s\n", text);
    return shmdt(text) < 0;
}
