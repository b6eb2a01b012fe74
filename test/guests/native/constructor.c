/* A shared object that tells when somebody loads it: nobody may. */
#include <fcntl.h>
#include <unistd.h>

__attribute__((constructor)) static void loaded(void) {
    static const char text[] = "NATIVE CODE FROM THE IMAGE RAN\n";
    (void)!write(STDOUT_FILENO, text, sizeof text - 1);
    close(open("/native-code-ran", O_CREAT | O_WRONLY, 0600));
}
